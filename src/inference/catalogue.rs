//! Models of others that are known by name: `models/catalogue.toml`. Nothing here opens a connection.

use std::sync::LazyLock;

use serde::Deserialize;

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Finds people.
    Detect,
    /// Describes people.
    Embed,
}

/// What lies at the address of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// An ONNX file.
    Onnx,
    /// An archive with an ONNX file.
    Zip,
    /// OpenVINO's .xml and .bin, which need conversion.
    OpenvinoIr,
    /// A checkpoint, which needs an export.
    Pytorch,
}

/// A model of the catalogue.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// As the property `model` takes it.
    pub name: String,
    /// What it is for.
    pub task: Purpose,
    /// SPDX identifier of its licence.
    pub licence: String,
    /// What lies at the address.
    pub format: Format,
    /// Of an archive: the file in it.
    pub member: Option<String>,
    /// Where its makers publish it.
    pub address: String,
    /// Bytes of what lies at the address, where known.
    pub size: Option<u64>,
    /// Checksum of what lies at the address, or `unverified`.
    sha256: String,
    /// Checksum that others give for it.
    pub reported: Option<String>,
    /// Lines of the sidecar.
    pub sidecar: Option<String>,
    /// Figures of this project.
    pub measured: Option<String>,
}

impl Known {
    /// SHA-256 of what lies at the address, if it was checked.
    pub fn verified(&self) -> Option<&str> {
        (self.sha256 != "unverified").then_some(&self.sha256)
    }

    /// Name of its file in a folder of models.
    pub fn file(&self) -> String {
        format!("{}.onnx", self.name)
    }
}

#[derive(Deserialize)]
struct File {
    model: Vec<Known>,
}

/// Reads a catalogue; the error says what is wrong and where.
pub fn parse(text: &str) -> Result<Vec<Known>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    for known in &file.model {
        if (known.format == Format::Zip) != known.member.is_some() {
            return Err(format!(
                "{}: `member` belongs to `format = \"zip\"`",
                known.name
            ));
        }
    }
    Ok(file.model)
}

/// The catalogue of this version.
pub fn catalogue() -> &'static [Known] {
    static CATALOGUE: LazyLock<Vec<Known>> = LazyLock::new(|| {
        // A test reads it: the file is part of the program.
        parse(include_str!("../../models/catalogue.toml")).unwrap_or_default()
    });
    &CATALOGUE
}

/// The model of that name.
pub fn find(name: &str) -> Option<&'static Known> {
    catalogue().iter().find(|known| known.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_whole() {
        let all = parse(include_str!("../../models/catalogue.toml")).unwrap();
        assert!(all.len() >= 13);
        for (i, known) in all.iter().enumerate() {
            let name = &known.name;
            let is_plain =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            assert!(name.chars().all(is_plain), "{name}");
            assert!(
                all[..i].iter().all(|other| other.name != *name),
                "{name} twice"
            );
            assert!(known.address.starts_with("https://"), "{name}");
            for sum in [known.verified(), known.reported.as_deref()]
                .into_iter()
                .flatten()
            {
                assert!(
                    sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit()),
                    "{name}"
                );
            }
            if let Some(sidecar) = &known.sidecar {
                crate::inference::Sidecar::parse(sidecar).unwrap();
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        let text = "[[model]]\nname = 'a'\ntask = 'detect'\nlicence = 'MIT'\nformat = 'zip'\naddress = 'https://a'\nsha256 = 'unverified'\n";
        assert!(parse(text).unwrap_err().contains("member"));
        assert!(parse("[[model]]\nnam = 'a'\n").unwrap_err().contains("nam"));
    }
}
