//! What an ONNX file is, and how it does on drawn pictures.

use std::{error::Error, fmt::Write as _, fs, io::Write, path::Path};

use gstreid::{
    core::{
        embedding::Embedding,
        geometry::Rect,
        image::{Colorimetry, ImageView, PixelFormat, Plane},
        preprocess::{ColorOrder, InputSpec, ResizeMode, TensorLayout},
        testscene::{Pattern, SceneConfig, Truth, View, World},
    },
    inference::{
        DetectParams, Detector, DetectorRequest, Embedder, EmbedderRequest, ModelRequest,
        Precision, Sidecar, catalogue::Purpose, device::Device,
    },
};

/// Size of the drawn pictures, px.
const WIDTH: usize = 640;
const HEIGHT: usize = 480;
/// Moments at which they are drawn, s.
const MOMENTS: [f64; 6] = [2.0, 5.0, 8.0, 11.0, 14.0, 17.0];
const CAMERAS: u32 = 2;
const PEOPLE: u32 = 6;
/// People of whom less is visible are not asked for.
const VISIBLE: f32 = 0.6;
/// The elements' defaults.
const THRESHOLD: f32 = 0.25;
const OVERLAP: f32 = 0.45;
const MOST: usize = 300;
/// From this overlap on a box is the person's.
const SAME: f32 = 0.5;

/// A model that was loaded and tried.
pub struct Inspected {
    purpose: Purpose,
    /// A line each.
    found: Vec<String>,
    /// What the user should know.
    warnings: Vec<String>,
    sidecar: String,
}

impl Inspected {
    /// Loads a model; of an unknown `purpose`, as a detector, else as an embedder.
    pub fn open(file: &Path, purpose: Option<Purpose>) -> Result<Self, Box<dyn Error>> {
        gst::init()?;
        match purpose {
            Some(Purpose::Detect) => detector(file),
            Some(Purpose::Embed) => embedder(file),
            None => detector(file).or_else(|as_detector| {
                embedder(file).map_err(|as_embedder| {
                    format!("neither a detector ({as_detector}) nor an embedder ({as_embedder})")
                        .into()
                })
            }),
        }
    }

    /// What it is for.
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The sidecar with what was found out.
    pub fn sidecar(&self) -> &str {
        &self.sidecar
    }

    /// Prints what was found out.
    pub fn tell(&self, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
        for line in &self.found {
            writeln!(out, "{line}")?;
        }
        for warning in &self.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        out.flush()?;
        Ok(())
    }
}

fn request(file: &Path) -> Result<ModelRequest, Box<dyn Error>> {
    Ok(ModelRequest {
        path: file.to_path_buf(),
        device: Device::parse("cpu")?,
        threads: 0,
        precision: Precision::Float32,
    })
}

fn detector(file: &Path) -> Result<Inspected, Box<dyn Error>> {
    let mut detector = Detector::open(DetectorRequest {
        model: request(file)?,
        instance_id: None,
        layout: None,
        labels: None,
    })?;
    let mut warnings: Vec<String> = detector.warning().map(str::to_owned).into_iter().collect();
    detector.look_for_people()?;
    let spec = detector.spec().clone();
    let layout = spec.head.layout();
    let tried = try_detector(&mut detector)?;
    if tried.hits == 0 {
        warnings.push(
            "none of the drawn people was found: try a real picture before you rely on it (reidctl eval, docs/properties.md)".into(),
        );
    }
    let classes = match spec.labels.len() {
        0 => "unnamed classes".to_owned(),
        1 => format!("one class, {}", spec.labels[0]),
        count => format!("{count} classes"),
    };
    let found = vec![
        format!("detector, layout {}, {classes}", layout.name()),
        described(&spec.input),
        format!(
            "{} drawn pictures: found {} of {} people, {} other boxes, {:.1} ms a picture",
            tried.pictures, tried.hits, tried.people, tried.others, tried.ms
        ),
    ];
    let mut lines = format!("layout = \"{}\"\n", layout.name());
    if spec.are_labels_known {
        let labels = toml::Value::from(spec.labels.clone());
        let _ = writeln!(lines, "labels = {labels}");
    }
    Ok(Inspected {
        purpose: Purpose::Detect,
        found,
        warnings,
        sidecar: sidecar(file, &spec.input, &lines)?,
    })
}

fn embedder(file: &Path) -> Result<Inspected, Box<dyn Error>> {
    let mut embedder = Embedder::open(&EmbedderRequest {
        model: request(file)?,
        instance_id: None,
        batch: 1,
    })?;
    let mut warnings: Vec<String> = embedder.take_warning().into_iter().collect();
    let spec = embedder.spec().clone();
    if !spec.is_preprocessing_known {
        warnings.push(
            "the file does not say how pixels become numbers: the usual way is assumed; compare with its makers' documentation".into(),
        );
    }
    let tried = try_embedder(&mut embedder)?;
    if tried.genuine - tried.impostor < 0.05 {
        warnings.push(
            "people are hardly told apart on drawn pictures: the preprocessing may be wrong; correct the .toml".into(),
        );
    }
    let found = vec![
        format!("embedder, vectors of {} numbers", embedder.dimension()),
        described(&spec.input),
        format!(
            "{} crops of drawn people: mean cosine {:.2} of one person, {:.2} of two, {:.1} ms a crop",
            tried.crops, tried.genuine, tried.impostor, tried.ms
        ),
    ];
    let output = &embedder.info().outputs[spec.output].name;
    let lines = format!("output = {}\n", toml::Value::from(output.as_str()));
    Ok(Inspected {
        purpose: Purpose::Embed,
        found,
        warnings,
        sidecar: sidecar(file, &spec.input, &lines)?,
    })
}

fn described(input: &InputSpec) -> String {
    let numbers = |values: [f32; 3]| {
        // Zero has no sign.
        let [a, b, c] = values.map(|value| format!("{:.4}", value + 0.0));
        if a == b && b == c {
            a
        } else {
            format!("{a} {b} {c}")
        }
    };
    format!(
        "input {} x {}, {}, {}, value = pixel * {} + {}, {}",
        input.width,
        input.height,
        color(input.color),
        tensor(input.tensor),
        numbers(input.scale),
        numbers(input.offset),
        resize(input.resize)
    )
}

/// What was found out as a sidecar; one that is there already is taken as it is.
fn sidecar(file: &Path, input: &InputSpec, lines: &str) -> Result<String, Box<dyn Error>> {
    let own = Sidecar::path_of(file);
    if own.is_file()
        && !file
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'))
    {
        return Ok(fs::read_to_string(own)?);
    }
    // value = (pixel * scale - mean) / std with scale 1.
    let rounded = |value: f64| (value * 1e4).round() / 1e4 + 0.0;
    let std = input.scale.map(|scale| 1.0 / f64::from(scale));
    let mean = [0, 1, 2].map(|c| rounded(-f64::from(input.offset[c]) * std[c]));
    let std = std.map(rounded);
    let text = format!(
        "# written by reidctl models\n{lines}width = {}\nheight = {}\ntensor = \"{}\"\ncolor = \"{}\"\nscale = 1.0\nmean = {mean:?}\nstd = {std:?}\nresize = \"{}\"\npad = {}\n",
        input.width,
        input.height,
        tensor(input.tensor),
        color(input.color),
        resize(input.resize),
        input.pad
    );
    Sidecar::parse(&text)?;
    Ok(text)
}

const fn color(order: ColorOrder) -> &'static str {
    match order {
        ColorOrder::Rgb => "rgb",
        ColorOrder::Bgr => "bgr",
    }
}

const fn tensor(layout: TensorLayout) -> &'static str {
    match layout {
        TensorLayout::Nchw => "nchw",
        TensorLayout::Nhwc => "nhwc",
    }
}

const fn resize(mode: ResizeMode) -> &'static str {
    match mode {
        ResizeMode::LetterboxCentred => "letterbox-centred",
        ResizeMode::LetterboxTopLeft => "letterbox-top-left",
        ResizeMode::Squash => "squash",
    }
}

// ---- the drawn pictures ----

/// A drawn picture, RGB, and who is in it.
struct Drawn {
    pixels: Vec<u8>,
    people: Vec<Truth>,
}

impl Drawn {
    fn view(&self) -> Result<ImageView<'_>, Box<dyn Error>> {
        let plane = Plane {
            data: &self.pixels,
            stride: WIDTH * 3,
        };
        let colorimetry = Colorimetry::default();
        Ok(ImageView::new(
            PixelFormat::Rgb,
            WIDTH,
            HEIGHT,
            &[plane],
            colorimetry,
        )?)
    }
}

fn drawn() -> Vec<Drawn> {
    let config = SceneConfig {
        pattern: Pattern::Crossing,
        people: PEOPLE,
        cameras: CAMERAS,
        ..SceneConfig::default()
    };
    let mut pictures = Vec::new();
    for camera in 0..CAMERAS {
        let mut view = View::new(World::new(config), camera, WIDTH, HEIGHT);
        for (frame, moment) in MOMENTS.iter().enumerate() {
            let (canvas, mut people) = view.render(*moment, frame as u64);
            people.retain(|person| person.visibility >= VISIBLE);
            let pixels = canvas.pixels.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]);
            pictures.push(Drawn {
                pixels: pixels.collect(),
                people,
            });
        }
    }
    pictures
}

struct Detected {
    pictures: usize,
    people: usize,
    hits: usize,
    others: usize,
    ms: f64,
}

fn try_detector(detector: &mut Detector) -> Result<Detected, Box<dyn Error>> {
    let params = DetectParams {
        threshold: THRESHOLD,
        iou_threshold: OVERLAP,
        limit: MOST,
    };
    let pictures = drawn();
    let mut result = Detected {
        pictures: pictures.len(),
        people: 0,
        hits: 0,
        others: 0,
        ms: 0.0,
    };
    for picture in &pictures {
        let outcome = detector.detect(&picture.view()?, &params)?;
        let times = outcome.times;
        result.ms += 1e3 * (times.preprocess + times.infer + times.decode).as_secs_f64();
        let boxes: Vec<Rect> = detector
            .detections()
            .iter()
            .map(|found| found.rect)
            .collect();
        let is_hit = |person: &&Truth| boxes.iter().any(|rect| rect.iou(&person.rect) >= SAME);
        let hits = picture.people.iter().filter(is_hit).count();
        result.people += picture.people.len();
        result.hits += hits;
        result.others += boxes.len().saturating_sub(hits);
    }
    result.ms /= pictures.len().max(1) as f64;
    Ok(result)
}

struct Embedded {
    crops: usize,
    genuine: f32,
    impostor: f32,
    ms: f64,
}

fn try_embedder(embedder: &mut Embedder) -> Result<Embedded, Box<dyn Error>> {
    let mut vectors: Vec<(u32, Embedding)> = Vec::new();
    let mut spent = 0.0;
    for picture in &drawn() {
        let rects: Vec<Rect> = picture.people.iter().map(|person| person.rect).collect();
        let outcome = embedder.embed(&picture.view()?, &rects, 1)?;
        spent += 1e3 * (outcome.preprocess + outcome.infer).as_secs_f64();
        let ids = picture.people.iter().map(|person| person.id);
        for (id, vector) in ids.zip(outcome.vectors) {
            vectors.push((id, vector.map_err(|error| error.to_string())?));
        }
    }
    let mut sums = [(0.0_f32, 0_u32); 2];
    for (i, (id, vector)) in vectors.iter().enumerate() {
        for (other, theirs) in &vectors[..i] {
            let sum = &mut sums[usize::from(id == other)];
            sum.0 += vector.cosine(theirs).unwrap_or_default();
            sum.1 += 1;
        }
    }
    let [impostor, genuine] = sums.map(|(sum, count)| sum / count.max(1) as f32);
    Ok(Embedded {
        crops: vectors.len(),
        genuine,
        impostor,
        ms: spent / vectors.len().max(1) as f64,
    })
}
