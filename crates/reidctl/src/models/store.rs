//! The folder of models: files come in whole or not at all.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use gstreid::inference::{Sidecar, catalogue::Purpose};

use super::inspect::Inspected;

/// Largest model in an archive, bytes.
const LARGEST: u64 = 2 << 30;
/// Longest name of a model.
const LONGEST_NAME: usize = 64;

/// A name that is also a file's.
pub fn checked_name(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_fit = (1..=LONGEST_NAME).contains(&name.len())
        && name.chars().all(is_plain)
        && !name.starts_with('.');
    match is_fit {
        true => Ok(name.to_owned()),
        false => Err(format!(
            "'{name}' is no name for a model: use --name with letters, digits, - _ . (at most {LONGEST_NAME})"
        )),
    }
}

/// The ONNX file `member` of an archive, unpacked beside it.
pub fn unpacked(archive: &Path, member: &str) -> Result<PathBuf, Box<dyn Error>> {
    let named = |error: String| {
        format!(
            "{}: {error}; the archive is damaged or another one: get it again",
            archive.display()
        )
    };
    let mut zip = zip::ZipArchive::new(File::open(archive)?).map_err(|e| named(e.to_string()))?;
    // Archives have the file in a folder or not.
    let found = zip
        .file_names()
        .filter_map(Result::ok)
        .map(|name| name.into_owned())
        .find(|name| name == member || name.ends_with(&format!("/{member}")));
    let found = found.ok_or_else(|| named(format!("there is no {member} in it")))?;
    let packed = zip.by_name(&found).map_err(|e| named(e.to_string()))?;
    let target = archive.with_extension("unpacked");
    let mut file = File::create(&target)?;
    let length =
        io::copy(&mut packed.take(LARGEST + 1), &mut file).map_err(|e| named(e.to_string()))?;
    file.sync_all()?;
    if length > LARGEST {
        fs::remove_file(&target)?;
        return Err(named(format!("{member} is larger than {LARGEST} bytes")).into());
    }
    Ok(target)
}

/// Where a model goes.
pub struct Kept {
    pub folder: PathBuf,
    pub name: String,
    pub replace: bool,
}

impl Kept {
    fn target(&self) -> PathBuf {
        self.folder.join(format!("{}.onnx", self.name))
    }

    /// Refuses to overwrite a model.
    pub fn check_free(&self) -> Result<(), String> {
        let target = self.target();
        match target.exists() && !self.replace {
            true => Err(format!(
                "{} is there already: --replace replaces it",
                target.display()
            )),
            false => Ok(()),
        }
    }

    /// Copies a model of the user's; the file stays where it is.
    pub fn copy(&self, file: &Path, inspected: &Inspected) -> Result<PathBuf, Box<dyn Error>> {
        self.check_free()?;
        fs::create_dir_all(&self.folder)
            .map_err(|error| format!("{} cannot be made: {error}", self.folder.display()))?;
        let part = self.folder.join(format!(".{}.copy", self.name));
        fs::copy(file, &part)
            .and_then(|_| File::open(&part)?.sync_all())
            .map_err(|error| format!("{} cannot be written: {error}", part.display()))?;
        // Weights of large models may lie in a file beside them, by the name that the model gives.
        self.take(&part, inspected)
    }

    /// Inspects a model that was fetched, with the lines that the catalogue has for it.
    pub fn inspect_part(
        &self,
        part: &Path,
        sidecar: Option<&str>,
        purpose: Purpose,
    ) -> Result<Inspected, Box<dyn Error>> {
        let beside = Sidecar::path_of(part);
        if let Some(lines) = sidecar {
            fs::write(&beside, format!("{lines}\n"))?;
        }
        let inspected = Inspected::open(part, Some(purpose));
        if sidecar.is_some() {
            let _ = fs::remove_file(&beside);
        }
        inspected
    }

    /// Gives a file of the folder its name; what was found out is written beside it before.
    pub fn take(&self, part: &Path, inspected: &Inspected) -> Result<PathBuf, Box<dyn Error>> {
        let target = self.target();
        let sidecar = Sidecar::path_of(&target);
        let draft = self.folder.join(format!(".{}.toml", self.name));
        fs::write(&draft, inspected.sidecar())
            .and_then(|()| fs::rename(&draft, &sidecar))
            .and_then(|()| fs::rename(part, &target))
            .map_err(|error| format!("{} cannot be written: {error}", target.display()))?;
        let _ = fs::remove_file(part.with_extension("part.from"));
        Ok(target)
    }
}
