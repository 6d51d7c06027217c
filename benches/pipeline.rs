//! The detection pipeline against bare ONNX Runtime: the same number of inferences, one at a time, decoding excluded.
//!
//! Rounds alternate between the two, so that a noisy machine is equally noisy for both, and medians are compared. The
//! aim is a ratio of at most 1.05: what the pipeline adds is preprocessing, decoding of the output and GStreamer itself.

use std::{env, error::Error, path::PathBuf, time::Instant};

use gst::prelude::*;
use gstreid::inference::{
    InputTensor, ModelRequest, Precision, SharedModel, device::Device, models,
};

/// Frames of one round.
const FRAMES: usize = 60;
/// Rounds of each kind; the first warms up and does not count.
const ROUNDS: usize = 8;
const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;

fn main() -> Result<(), Box<dyn Error>> {
    gst::init()?;
    gstreid::plugin_register_static()?;
    // Cargo passes `--bench`; anything else is a model.
    let model = env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let model = model.map_or_else(
        || models::locate(models::DEFAULT_DETECTOR),
        |path| Ok(PathBuf::from(path)),
    )?;
    let frames = frames()?;
    let bare = Bare::open(&model)?;
    let (mut pipeline_ms, mut bare_ms) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (p, b) = (pipeline_round(&model, &frames)?, bare.round()?);
        if round > 0 {
            pipeline_ms.push(p);
            bare_ms.push(b);
        }
    }
    let (p, b) = (median(pipeline_ms), median(bare_ms));
    println!(
        "model                {} at {:?}",
        model.display(),
        bare.shape
    );
    println!("bare ONNX Runtime    {b:8.2} ms a frame");
    println!("detection pipeline   {p:8.2} ms a frame ({WIDTH}x{HEIGHT} I420)");
    println!("ratio                {:8.3}   (aim: at most 1.05)", p / b);
    Ok(())
}

/// Pictures made before the clock runs.
fn frames() -> Result<Vec<gst::Buffer>, Box<dyn Error>> {
    let launch = format!(
        "reidtestsrc num-buffers={FRAMES} ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT} ! appsink name=end sync=false"
    );
    let pipeline = gst::parse::launch(&launch)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let sink = pipeline.by_name("end").ok_or("no sink")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut frames = Vec::new();
    while let Some(sample) = sink.emit_by_name::<Option<gst::Sample>>("pull-sample", &[]) {
        frames.push(sample.buffer_owned().ok_or("a sample without a buffer")?);
    }
    pipeline.set_state(gst::State::Null)?;
    Ok(frames)
}

/// Milliseconds a frame through appsrc, yolodetect and fakesink; from the first frame in to the end of the stream.
fn pipeline_round(model: &std::path::Path, frames: &[gst::Buffer]) -> Result<f64, Box<dyn Error>> {
    let launch = format!(
        "appsrc name=in format=time caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate=30/1 \
         ! yolodetect threads=1 nireq=1 model=\"{}\" ! fakesink sync=false",
        model.display()
    );
    let pipeline = gst::parse::launch(&launch)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let source = pipeline.by_name("in").ok_or("no source")?;
    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().ok_or("no bus")?;
    let start = Instant::now();
    for frame in frames {
        source
            .emit_by_name::<gst::FlowReturn>("push-buffer", &[frame])
            .into_result()?;
    }
    source
        .emit_by_name::<gst::FlowReturn>("end-of-stream", &[])
        .into_result()?;
    let end = bus.timed_pop_filtered(None, &[gst::MessageType::Eos, gst::MessageType::Error]);
    let elapsed = start.elapsed();
    pipeline.set_state(gst::State::Null)?;
    match end.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => Err(error.error().to_string().into()),
        _ => Ok(elapsed.as_secs_f64() * 1e3 / frames.len() as f64),
    }
}

/// The model alone, on a tensor that is there already.
struct Bare {
    model: SharedModel,
    shape: Vec<i64>,
    tensor: Vec<f32>,
}

impl Bare {
    fn open(path: &std::path::Path) -> Result<Self, Box<dyn Error>> {
        let model = SharedModel::open(
            &ModelRequest {
                path: path.into(),
                device: Device::Cpu,
                threads: 1,
                precision: Precision::Auto,
            },
            None,
        )?;
        let input = model.info().inputs.first().ok_or("a model without input")?;
        // An open side is run as the element would: at the size in the metadata.
        let side = model.info().metadata.get("imgsz").and_then(|text| {
            text.trim_matches(['[', ']'])
                .split(',')
                .next()?
                .trim()
                .parse()
                .ok()
        });
        let open = [1, 3, side.unwrap_or(640), side.unwrap_or(640)];
        let shape: Vec<i64> = input
            .shape
            .iter()
            .zip(open)
            .map(|(dim, open)| dim.unwrap_or(open) as i64)
            .collect();
        let count = shape.iter().product::<i64>() as usize;
        let tensor = (0..count).map(|i| (i % 255) as f32 / 255.0).collect();
        Ok(Self {
            model,
            shape,
            tensor,
        })
    }

    fn round(&self) -> Result<f64, Box<dyn Error>> {
        let start = Instant::now();
        for _ in 0..FRAMES {
            self.model
                .run(&[InputTensor::F32(&self.shape, &self.tensor)], |outputs| {
                    std::hint::black_box(outputs.len())
                })?;
        }
        Ok(start.elapsed().as_secs_f64() * 1e3 / FRAMES as f64)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
