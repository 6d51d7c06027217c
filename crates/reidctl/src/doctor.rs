//! `reidctl doctor`: one line a check, and the remedy where one fails.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use gstreid::inference::{
    self, ModelInfo, ModelRequest, Precision, SharedModel, device, device::Device, models, runtime,
};

use crate::outcome::Outcome;

/// The elements of other people's plugins that the README's pipelines use, and the Debian package of each.
const NEIGHBOURS: [(&str, &str); 6] = [
    ("decodebin", "gstreamer1.0-plugins-base"),
    ("compositor", "gstreamer1.0-plugins-base"),
    ("mp4mux", "gstreamer1.0-plugins-good"),
    ("rtspsrc", "gstreamer1.0-plugins-good"),
    ("x264enc", "gstreamer1.0-plugins-ugly"),
    ("avdec_h264", "gstreamer1.0-libav"),
];

/// Prints the findings; the exit status is a failure when something that the first pipeline needs is missing.
pub fn run(out: &mut dyn Write) -> Outcome {
    gst::init()?;
    let mut doctor = Doctor { out, healthy: true };
    doctor.good("GStreamer", &gst::version_string())?;
    doctor.plugin()?;
    doctor.neighbours()?;
    doctor.runtime()?;
    doctor.model("detector", models::DEFAULT_DETECTOR)?;
    doctor.model("embedder", models::DEFAULT_EMBEDDER)?;
    let verdict = if doctor.healthy {
        "Everything is installed."
    } else {
        "Something is missing: see the lines marked !!."
    };
    writeln!(doctor.out, "\n{verdict}")?;
    Ok(if doctor.healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Doctor<'a> {
    out: &'a mut dyn Write,
    healthy: bool,
}

impl Doctor<'_> {
    fn good(&mut self, what: &str, finding: &str) -> io::Result<()> {
        writeln!(self.out, "ok  {what}: {finding}")
    }

    fn bad(&mut self, what: &str, finding: &str, remedy: &str) -> io::Result<()> {
        self.healthy = false;
        writeln!(self.out, "!!  {what}: {finding}\n      -> {remedy}")
    }

    fn plugin(&mut self) -> io::Result<()> {
        match gst::Registry::get().find_plugin("reid") {
            Some(plugin) => {
                let file = plugin.filename().map_or_else(|| "linked in".into(), |file| file.display().to_string());
                self.good("plugin reid", &format!("{} in {file}", plugin.version()))
            }
            None => self.bad(
                "plugin reid",
                "not found by GStreamer",
                "in a checkout run 'make build' and then 'eval \"$(make -s env)\"'; else add the folder of \
                 libgstreid.so to GST_PLUGIN_PATH. 'gst-inspect-1.0 -b' lists plugins that failed to load",
            ),
        }
    }

    fn neighbours(&mut self) -> io::Result<()> {
        for (element, package) in NEIGHBOURS {
            if gst::ElementFactory::find(element).is_none() {
                self.bad(
                    element,
                    "this element is missing",
                    &format!("apt install {package}"),
                )?;
            }
        }
        Ok(())
    }

    fn runtime(&mut self) -> io::Result<()> {
        match runtime::get() {
            Ok(found) => {
                self.good(
                    "ONNX Runtime",
                    &format!("{} at {}", found.version, found.library.display()),
                )?;
                self.good("devices", &device::available().join(", "))
            }
            Err(error) => self.bad("ONNX Runtime", &error.to_string(), "see above"),
        }
    }

    fn model(&mut self, role: &str, name: &str) -> io::Result<()> {
        let opened = models::locate(name).and_then(|path| {
            let model = open(&path)?;
            Ok((path, model))
        });
        match opened {
            Ok((path, model)) => {
                self.good(role, &format!("{}{}", path.display(), facts(model.info())))
            }
            Err(error) => self.bad(
                role,
                &error.to_string(),
                "run 'make build' in a checkout, or train one (models/training)",
            ),
        }
    }
}

fn open(path: &Path) -> Result<SharedModel, inference::InferenceError> {
    SharedModel::open(
        &ModelRequest {
            path: path.into(),
            device: Device::Cpu,
            threads: 1,
            precision: Precision::Float32,
        },
        None,
    )
}

/// Inputs, outputs and the metadata that matter, a line each.
fn facts(info: &ModelInfo) -> String {
    let tensors = |list: &[inference::TensorInfo]| {
        let one = |t: &inference::TensorInfo| {
            let dims: Vec<_> = t
                .shape
                .iter()
                .map(|d| d.map_or("?".to_owned(), |d| d.to_string()))
                .collect();
            format!("{} [{}]", t.name, dims.join(","))
        };
        list.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(
        "\n      in {}; out {}",
        tensors(&info.inputs),
        tensors(&info.outputs)
    );
    for key in [
        "names",
        "reid.task",
        "reid.dimension",
        "reid.data",
        "reid.license",
    ] {
        if let Some(value) = info.metadata.get(key) {
            let value: String = value.chars().take(120).collect();
            text += &format!("\n      {key}: {value}");
        }
    }
    text
}
