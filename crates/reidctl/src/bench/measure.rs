//! One measurement: so many pipelines for so long.

use std::{
    error::Error,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gst::prelude::*;
use serde::Serialize;

use super::scene::{Scene, Source};

/// What every camera goes through, unless somebody says otherwise.
pub const ELEMENTS: &str = "yolodetect ! queue max-size-buffers=2 ! reidembed ! queue max-size-buffers=2 ! reidtrack gallery=bench camera=camera{camera}";
/// For how long pipelines run before anything counts: models warm up, queues fill.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long pipelines may take to start.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Time between two frames of the made-up scene.
const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// What came of a measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Measured {
    /// Frames that arrived, of all cameras.
    pub frames: u64,
    /// People that the detector found in a frame, mean.
    pub people: f64,
    /// Of all cameras together.
    pub frames_per_second: f64,
    /// Processor time of the whole process for one frame, ms.
    pub cpu_ms: f64,
    /// Processor time over time.
    pub cores_busy: f64,
    /// How long the first camera's detector took for a frame, ms.
    pub detector_p50_ms: f64,
    /// The same, 95 % of the frames.
    pub detector_p95_ms: f64,
}

/// Runs `cameras` pipelines as fast as they go.
pub fn measure(
    source: &Source,
    cameras: u32,
    elements: &str,
    time: Duration,
) -> Result<Measured, Box<dyn Error>> {
    let pipelines = (0..cameras)
        .map(|camera| Camera::new(source, camera, elements))
        .collect::<Result<Vec<_>, _>>()?;
    for camera in &pipelines {
        let started = camera.pipeline.set_state(gst::State::Playing);
        camera.check()?;
        started?;
    }
    for camera in &pipelines {
        camera.wait_for_first(START_LIMIT)?;
    }
    std::thread::sleep(WARM_UP.min(time));
    let before: u64 = pipelines.iter().map(Camera::frames).sum();
    let (begun, cpu) = (Instant::now(), processor_time());
    while begun.elapsed() < time && pipelines.iter().any(|camera| !camera.has_ended()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (elapsed, cpu) = (begun.elapsed(), processor_time() - cpu);
    let frames = pipelines.iter().map(Camera::frames).sum::<u64>() - before;
    let measured = Measured {
        frames,
        people: pipelines[0].people(),
        frames_per_second: frames as f64 / elapsed.as_secs_f64(),
        cpu_ms: cpu.as_secs_f64() * 1e3 / frames.max(1) as f64,
        cores_busy: cpu.as_secs_f64() / elapsed.as_secs_f64(),
        detector_p50_ms: pipelines[0].detector("p50-ms"),
        detector_p95_ms: pipelines[0].detector("p95-ms"),
    };
    for camera in &pipelines {
        camera.check()?;
    }
    if frames == 0 {
        return Err("the recording ended before anything was measured: take a longer one".into());
    }
    Ok(measured)
}

/// One camera of a measurement; stops when dropped.
struct Camera {
    pipeline: gst::Pipeline,
    count: Arc<Mutex<u64>>,
}

impl Drop for Camera {
    fn drop(&mut self) {
        // Nothing can be done about a pipeline that does not stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Camera {
    fn new(source: &Source, camera: u32, elements: &str) -> Result<Self, Box<dyn Error>> {
        let elements = elements.replace("{camera}", &camera.to_string());
        let head = match source {
            Source::Clip(_) => "filesrc name=in ! decodebin ! queue max-size-buffers=4",
            Source::Scene(_) => "appsrc name=in format=time ! queue max-size-buffers=4",
        };
        let line = format!("{head} ! {elements} ! fakesink name=out sync=false");
        let pipeline = gst::parse::launch(&line)?
            .downcast::<gst::Pipeline>()
            .map_err(|_| format!("--elements: '{elements}' makes no pipeline"))?;
        let input = pipeline.by_name("in").ok_or("no element 'in'")?;
        match source {
            Source::Clip(path) => input.set_property("location", path),
            Source::Scene(scene) => feed(&input, scene)?,
        }
        let count = Arc::new(Mutex::new(0));
        let pad = pipeline
            .by_name("out")
            .and_then(|out| out.static_pad("sink"));
        let frames = count.clone();
        pad.ok_or("no element 'out'")?
            .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                *frames.lock().unwrap_or_else(|error| error.into_inner()) += 1;
                gst::PadProbeReturn::Ok
            });
        Ok(Self { pipeline, count })
    }

    fn frames(&self) -> u64 {
        *self.count.lock().unwrap_or_else(|error| error.into_inner())
    }

    fn wait_for_first(&self, limit: Duration) -> Result<(), Box<dyn Error>> {
        let begun = Instant::now();
        while self.frames() == 0 {
            self.check()?;
            if begun.elapsed() > limit {
                return Err("no frame came out of the pipeline within a minute".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The first error that the pipeline has posted.
    fn check(&self) -> Result<(), Box<dyn Error>> {
        let bus = self.pipeline.bus().ok_or("a pipeline without a bus")?;
        match bus.pop_filtered(&[gst::MessageType::Error]) {
            Some(message) => match message.view() {
                gst::MessageView::Error(error) => Err(error.error().to_string().into()),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn has_ended(&self) -> bool {
        let sink = self
            .pipeline
            .by_name("out")
            .and_then(|out| out.static_pad("sink"));
        sink.is_some_and(|pad| pad.pad_flags().contains(gst::PadFlags::EOS))
    }

    /// A number of the detector's statistics; 0 where there is none.
    fn detector(&self, name: &str) -> f64 {
        let is_detector = |element: &gst::Element| {
            element
                .factory()
                .is_some_and(|factory| factory.name() == "yolodetect")
        };
        let detector = self
            .pipeline
            .iterate_recurse()
            .into_iter()
            .flatten()
            .find(is_detector);
        let stats = detector.map(|detector| detector.property::<gst::Structure>("stats"));
        let value = stats.and_then(|stats| {
            stats
                .get::<f64>(name)
                .or_else(|_| stats.get::<u64>(name).map(|count| count as f64))
                .ok()
        });
        value.unwrap_or_default()
    }

    fn people(&self) -> f64 {
        self.detector("detections") / self.detector("inferences").max(1.0)
    }
}

/// Shows the scene's frames again and again, as fast as they are taken.
fn feed(input: &gst::Element, scene: &Scene) -> Result<(), Box<dyn Error>> {
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", i32::try_from(scene.width)?)
        .field("height", i32::try_from(scene.height)?)
        .field("framerate", gst::Fraction::new(25, 1))
        .build();
    input.set_property("caps", &caps);
    let frames = scene.frames.clone();
    let number = Mutex::new(0_usize);
    input.connect("need-data", false, move |values| {
        let input = values[0].get::<gst::Element>().ok()?;
        let mut number = number.lock().unwrap_or_else(|error| error.into_inner());
        let mut buffer = frames[*number % frames.len()].copy();
        let at = FRAME * *number as u64;
        buffer.get_mut()?.set_pts(at);
        *number += 1;
        // A pipeline that stops takes no more.
        let _ = input.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
        None
    });
    Ok(())
}

/// Plays to the end; the buffers that came to the sink called `name`.
pub fn collect(pipeline: &gst::Pipeline, name: &str) -> Result<Vec<gst::Buffer>, Box<dyn Error>> {
    let buffers = Arc::new(Mutex::new(Vec::new()));
    let pad = pipeline
        .by_name(name)
        .and_then(|sink| sink.static_pad("sink"));
    let kept = buffers.clone();
    pad.ok_or("no such sink")?
        .add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer() {
                kept.lock()
                    .unwrap_or_else(|error| error.into_inner())
                    .push(buffer.clone());
            }
            gst::PadProbeReturn::Ok
        });
    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(300), &ends);
    pipeline.set_state(gst::State::Null)?;
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => {
            let mut buffers = buffers.lock().unwrap_or_else(|error| error.into_inner());
            Ok(std::mem::take(&mut *buffers))
        }
        Some(gst::MessageView::Error(error)) => Err(error.error().to_string().into()),
        _ => Err("the scene was not drawn within five minutes".into()),
    }
}

/// Processor time of this process so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}
