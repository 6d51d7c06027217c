//! The metadata of a model.

use std::collections::BTreeMap;

use super::{error::ModelSpecError, input_spec::renormalise};
use crate::{
    core::preprocess::{InputSpec, TensorLayout},
    inference::{
        literal::Literal,
        sidecar::{self, MAX_INPUT_SIDE, Sidecar},
    },
};

/// A model's custom metadata.
pub(super) struct Metadata<'a>(pub &'a BTreeMap<String, String>);

impl Metadata<'_> {
    /// A value without the space around it.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| value.trim())
    }

    fn literal(&self, key: &str) -> Option<Literal> {
        self.get(key).and_then(Literal::parse)
    }

    /// Ultralytics' class names.
    pub fn names(&self) -> Option<Vec<String>> {
        let names = self.literal("names")?.as_names()?;
        (!names.is_empty()).then_some(names)
    }

    /// Whether boxes come suppressed, by Ultralytics' `end2end` or by the argument `nms` of its export.
    pub fn is_suppressed(&self) -> Option<bool> {
        let args = self.literal("args");
        let nms = args.as_ref().and_then(|args| args.entry("nms")?.as_bool());
        match self.literal("end2end").and_then(|l| l.as_bool()) {
            Some(true) => Some(true),
            declared => nms.filter(|&nms| nms).or(declared),
        }
    }

    /// Our own models say what they are for.
    pub fn check_task(&self, wanted: &'static str) -> Result<(), ModelSpecError> {
        match self.get("reid.task") {
            Some(found) if found != wanted => Err(ModelSpecError::Task {
                found: found.into(),
                wanted,
            }),
            _ => Ok(()),
        }
    }

    /// A value chosen from names.
    pub fn named<T: Copy>(
        &self,
        key: &'static str,
        names: &[(&str, T)],
        expected: &'static str,
    ) -> Result<Option<T>, ModelSpecError> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        sidecar::find_name(text, names)
            .map(Some)
            .ok_or_else(|| ModelSpecError::Metadata {
                key,
                value: text.into(),
                expected,
            })
    }

    /// Order of the axes of the input.
    pub fn tensor(&self) -> Result<Option<TensorLayout>, ModelSpecError> {
        self.named("reid.layout", &sidecar::TENSORS, "NCHW or NHWC")
    }

    /// Numbers of `reid.*`: `0.5`, `0.1,0.2,0.3`, `0.1 0.2 0.3` or a list in brackets.
    fn numbers(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<Option<Vec<f32>>, ModelSpecError> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        let numbers: Option<Vec<f32>> = text
            .trim_matches(['[', ']', '(', ')'])
            .split([',', ' '])
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().ok().filter(|n: &f32| n.is_finite()))
            .collect();
        numbers.map(Some).ok_or_else(|| ModelSpecError::Metadata {
            key,
            value: text.into(),
            expected,
        })
    }

    fn triple(&self, key: &'static str) -> Result<Option<[f32; 3]>, ModelSpecError> {
        let expected = "three numbers, not zero for a deviation";
        let wrong = |value: &[f32]| ModelSpecError::Metadata {
            key,
            value: format!("{value:?}"),
            expected,
        };
        match self.numbers(key, expected)? {
            None => Ok(None),
            Some(n) if key == "reid.std" && n.contains(&0.0) => Err(wrong(&n)),
            Some(n) => n[..].try_into().map(Some).map_err(|_| wrong(&n)),
        }
    }

    fn side(&self, key: &'static str) -> Result<Option<usize>, ModelSpecError> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        let side = text
            .parse()
            .ok()
            .filter(|s| (1..=MAX_INPUT_SIDE).contains(s));
        side.map(Some).ok_or_else(|| ModelSpecError::Metadata {
            key,
            value: text.into(),
            expected: "a length in px",
        })
    }

    /// Width and height asked for, where somebody asks: sidecar, `reid.*`, Ultralytics' `imgsz` (height, width).
    pub fn sides(
        &self,
        sidecar: &Sidecar,
    ) -> Result<(Option<usize>, Option<usize>), ModelSpecError> {
        let imgsz = self
            .literal("imgsz")
            .and_then(|l| l.as_indices())
            .unwrap_or_default();
        let (h, w) = match imgsz[..] {
            [h, w] if [h, w].iter().all(|s| (1..=MAX_INPUT_SIDE).contains(s)) => (Some(h), Some(w)),
            _ => (None, None),
        };
        Ok((
            sidecar.width.or(self.side("reid.width")?).or(w),
            sidecar.height.or(self.side("reid.height")?).or(h),
        ))
    }

    /// Lets `reid.*` overrule a family's spec.
    pub fn adjust(&self, spec: InputSpec) -> Result<InputSpec, ModelSpecError> {
        let color = self.named("reid.color", &sidecar::COLORS, "RGB or BGR")?;
        let resize = self.named(
            "reid.resize",
            &sidecar::RESIZES,
            "letterbox-centred, letterbox-top-left or squash",
        )?;
        let scale = self.numbers("reid.scale", "a number")?;
        let spec = InputSpec {
            color: color.unwrap_or(spec.color),
            resize: resize.unwrap_or(spec.resize),
            ..spec
        };
        let scale = scale.and_then(|s| s.first().copied()).filter(|&s| s != 0.0);
        let (mean, std) = (self.triple("reid.mean")?, self.triple("reid.std")?);
        Ok(renormalise(spec, scale, mean, std))
    }
}
