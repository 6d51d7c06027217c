//! Frames with boxes as MOTChallenge has them: a folder with `gt/gt.txt` and a clip, or with pictures in `img1/`.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use gstreid::core::{
    geometry::Rect,
    image::ImageView,
    scoring::{self, LabelledBox, Role},
};

use super::{
    eye::{Eye, Tally},
    video,
};
use crate::{
    embedding::progress,
    pictures::{self, Entry},
};

/// Places of the truth in a sequence's folder.
const TRUTH: [&str; 2] = ["gt/gt.txt", "gt.txt"];

/// Folder of a sequence's pictures.
const PICTURES: &str = "img1";

/// Extensions of video files.
const CLIPS: [&str; 7] = ["mp4", "m4v", "mkv", "avi", "mov", "webm", "ts"];

/// A folder with the truth of one camera.
pub struct Sequence {
    /// What the folder is called.
    pub name: String,
    truth: PathBuf,
    frames: Frames,
}

/// Where the frames of a sequence are.
enum Frames {
    Clip(PathBuf),
    Pictures(PathBuf),
}

/// The sequences that a path stands for: itself, or those of the folders in it, by name. None in data of another kind.
pub fn find(data: &Path) -> Result<Vec<Sequence>, String> {
    if !data.is_dir() {
        return Ok(Vec::new());
    }
    if let Some(sequence) = sequence(data)? {
        return Ok(vec![sequence]);
    }
    let mut found = Vec::new();
    for folder in list(data)?.into_iter().filter(|path| path.is_dir()) {
        // Truth without frames (for `reidctl score`) stands beside the others in several data sets.
        found.extend(sequence(&folder)?);
    }
    Ok(found)
}

fn sequence(folder: &Path) -> Result<Option<Sequence>, String> {
    let Some(truth) = TRUTH
        .map(|name| folder.join(name))
        .into_iter()
        .find(|path| path.is_file())
    else {
        return Ok(None);
    };
    let pictures = folder.join(PICTURES);
    let is_clip = |path: &PathBuf| {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        path.is_file() && CLIPS.iter().any(|clip| ending == *clip)
    };
    let clips: Vec<PathBuf> = list(folder)?.into_iter().filter(is_clip).collect();
    let frames = match &clips[..] {
        _ if pictures.is_dir() => Frames::Pictures(pictures),
        [clip] => Frames::Clip(clip.clone()),
        [] => return Ok(None),
        _ => {
            return Err(format!(
                "{} holds {} clips for one truth: leave one",
                folder.display(),
                clips.len()
            ));
        }
    };
    let full = folder.canonicalize().unwrap_or_else(|_| folder.into());
    let name = full
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Some(Sequence {
        name,
        truth,
        frames,
    }))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error| format!("{} cannot be read: {error}", folder.display());
    let mut paths = Vec::new();
    for item in fs::read_dir(folder).map_err(unreadable)? {
        paths.push(item.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The boxes of a frame: those that count, and those whose centre lies outside of the picture, where nothing can be
/// expected.
fn split(boxes: &[LabelledBox], view: &ImageView<'_>) -> [Vec<Rect>; 2] {
    let (width, height) = (view.width() as f32, view.height() as f32);
    let (inside, outside): (Vec<&LabelledBox>, Vec<_>) = boxes
        .iter()
        .partition(|b| b.has_centre_within(width, height));
    [inside, outside].map(|side| side.into_iter().map(|b| b.rect).collect())
}

impl Sequence {
    /// Looks at every frame.
    pub fn look(&self, eye: &mut Eye, tally: &mut Tally) -> Result<(), Box<dyn Error>> {
        let mut truth: BTreeMap<u32, Vec<LabelledBox>> = BTreeMap::new();
        for labelled in self.read_truth()? {
            truth.entry(labelled.frame).or_default().push(labelled);
        }
        let boxes = tally.by_source.entry(self.name.clone()).or_default();
        let mut note = |number: u32, view: &ImageView<'_>| -> Result<(), Box<dyn Error>> {
            let [inside, outside] = split(truth.get(&number).map_or(&[], Vec::as_slice), view);
            boxes.push(eye.look(view, inside, outside)?);
            Ok(())
        };
        match &self.frames {
            Frames::Clip(clip) => {
                let last = truth.keys().next_back().copied().unwrap_or(0);
                let bar = progress("detecting", last as usize);
                video::frames(clip, |number, view| {
                    bar.inc(1);
                    note(number, view)
                })?;
                bar.finish_and_clear();
            }
            Frames::Pictures(folder) => {
                let mut entries = pictures::read_all(folder)?;
                entries.retain(Entry::is_picture);
                let bar = progress("detecting", entries.len());
                for entry in entries {
                    bar.inc(1);
                    let numbered = entry
                        .stem()
                        .parse::<u32>()
                        .map_err(|_| "its name is no frame number".to_owned());
                    match numbered.and_then(|number| Ok((number, entry.picture()?))) {
                        Ok((number, picture)) => note(number, &picture.view()?)?,
                        Err(error) => tally.skipped.push(format!("{}: {error}", entry.name)),
                    }
                }
                bar.finish_and_clear();
            }
        }
        Ok(())
    }

    fn read_truth(&self) -> Result<Vec<LabelledBox>, String> {
        let path = self.truth.display();
        let text = fs::read_to_string(&self.truth)
            .map_err(|error| format!("{path} cannot be read: {error}"))?;
        scoring::parse(&text, Role::Truth).map_err(|error| format!("{path}, {error}"))
    }
}
