//! Common properties of elements with a model: the model, and how it runs.

use gst::prelude::*;

use crate::inference::{
    InferenceError, ModelRequest, Precision, device::DEVICE_HELP, device::Device, models,
};

/// Most threads of a session that the property `threads` allows.
const MAX_THREADS: u32 = 1024;

/// The values of `model`, `device`, `threads` and `model-instance-id`.
#[derive(Clone, Debug)]
pub(in crate::elements) struct ModelSettings {
    model: Option<String>,
    device: String,
    threads: u32,
    precision: Precision,
    /// Elements with one id share one model; see [`crate::inference::SharedModel::open`].
    pub instance_id: Option<String>,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            model: None,
            device: "cpu".into(),
            threads: 0,
            precision: Precision::Auto,
            instance_id: None,
        }
    }
}

impl ModelSettings {
    /// The specifications; `role` is what the model is ("detector").
    pub fn properties(role: &str) -> Vec<glib::ParamSpec> {
        let defaults = Self::default();
        vec![
            glib::ParamSpecString::builder("model")
                .nick("Model")
                .blurb(&format!("Path of the {role}'s .onnx file. Not set: the model shipped with the plugin. A .toml file of the same name overrides its metadata. Can be changed in NULL and READY"))
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("device")
                .nick("Device")
                .blurb(&format!("Where the model runs: {DEVICE_HELP}. Can be changed in NULL and READY"))
                .default_value(Some(defaults.device.as_str()))
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("threads")
                .nick("Threads")
                .blurb("Number of threads per inference, 0 to 1024. 0: one; other cores serve other streams and frames. Can be changed in NULL and READY")
                .maximum(MAX_THREADS)
                .default_value(defaults.threads)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("precision", defaults.precision)
                .nick("Precision")
                .blurb("Arithmetic of the model on the CPU. Both files of a model make vectors that match: a gallery can hold both. Can be changed in NULL and READY")
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("model-instance-id")
                .nick("Model instance id")
                .blurb("Elements with the same id must use the same model, device and threads, else the start fails. Elements with the same model share it in any case. Can be changed in NULL and READY")
                .mutable_ready()
                .build(),
        ]
    }

    /// Takes the value if the property is one of these.
    pub fn set(&mut self, property: &str, value: &glib::Value) -> bool {
        // The values' types and ranges are those of the specifications.
        match property {
            "model" => self.model = value.get().expect("checked by GObject"),
            "device" => {
                let device: Option<String> = value.get().expect("checked by GObject");
                self.device = device.unwrap_or_else(|| Self::default().device);
            }
            "threads" => self.threads = value.get().expect("checked by GObject"),
            "precision" => self.precision = value.get().expect("checked by GObject"),
            "model-instance-id" => self.instance_id = value.get().expect("checked by GObject"),
            _ => return false,
        }
        true
    }

    /// The value if the property is one of these.
    pub fn get(&self, property: &str) -> Option<glib::Value> {
        Some(match property {
            "model" => self.model.to_value(),
            "device" => self.device.to_value(),
            "threads" => self.threads.to_value(),
            "precision" => self.precision.to_value(),
            "model-instance-id" => self.instance_id.to_value(),
            _ => return None,
        })
    }

    /// The model to load; `default` is the shipped model. Fails when it is not found, or for an invalid device.
    pub fn request(&self, default: &str) -> Result<ModelRequest, InferenceError> {
        Ok(ModelRequest {
            path: models::resolve(self.model.as_deref(), default)?,
            device: Device::parse(&self.device)?,
            threads: self.threads,
            precision: self.precision,
        })
    }
}
