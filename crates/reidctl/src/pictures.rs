//! Pictures out of folders and tar archives, decoded as the elements get them: RGB in memory.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use gstreid::core::image::{Colorimetry, ImageError, ImageView, PixelFormat, Plane};
use image::{ImageDecoder, metadata::Orientation};

/// Extensions of picture files.
const ENDINGS: [&str; 7] = [".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"];

/// The endings, for messages.
pub const KINDS: &str = ".jpg, .png, .bmp, .webp, .tif";

/// A file of a folder or archive.
pub struct Entry {
    /// Path within the folder or archive, with `/`.
    pub name: String,
    content: Content,
}

/// Where an entry's bytes are.
enum Content {
    /// Read along with the archive.
    Here(Vec<u8>),
    /// Still on the disk.
    File(PathBuf),
}

impl Entry {
    /// The file's bytes.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>, String> {
        match &self.content {
            Content::Here(bytes) => Ok(Cow::Borrowed(bytes)),
            Content::File(path) => fs::read(path)
                .map(Cow::Owned)
                .map_err(|error| format!("{}: {error}", path.display())),
        }
    }

    /// The picture in it.
    pub fn picture(&self) -> Result<Picture, String> {
        Picture::decode(&self.bytes()?)
    }

    /// The last folder in whose name the file lies, or an empty string.
    pub fn folder(&self) -> &str {
        self.name.rsplit('/').nth(1).unwrap_or_default()
    }

    /// True when the name ends like a picture's.
    pub fn is_picture(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        ENDINGS.iter().any(|ending| name.ends_with(ending))
    }

    /// The last part of the name.
    pub fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// The last part of the name without its ending.
    pub fn stem(&self) -> &str {
        let name = self.file_name();
        name.rsplit_once('.').map_or(name, |(stem, _)| stem)
    }
}

/// True for `.tar`, `.tar.gz` and `.tgz`.
pub fn is_archive(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    path.is_file()
        && [".tar", ".tar.gz", ".tgz"]
            .iter()
            .any(|ending| name.ends_with(ending))
}

/// Every file in a folder (with the folders in it) or archive, in the order of their names.
pub fn read_all(path: &Path) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    let result = if is_archive(path) {
        read_archive(path, &mut entries)
    } else if path.is_dir() {
        read_folder(path, path, &mut entries)
    } else {
        return Err(format!(
            "{} is neither a folder nor a .tar, .tar.gz or .tgz",
            path.display()
        ));
    };
    result.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn read_folder(root: &Path, folder: &Path, entries: &mut Vec<Entry>) -> std::io::Result<()> {
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        if path.is_dir() {
            read_folder(root, &path, entries)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path);
            entries.push(Entry {
                name: name.to_string_lossy().into_owned(),
                content: Content::File(path),
            });
        }
    }
    Ok(())
}

fn read_archive(path: &Path, entries: &mut Vec<Entry>) -> std::io::Result<()> {
    let file = BufReader::new(File::open(path)?);
    let is_packed = path
        .extension()
        .is_some_and(|ending| !ending.eq_ignore_ascii_case("tar"));
    let bytes: Box<dyn Read> = if is_packed {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    for entry in tar::Archive::new(bytes).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let content = Content::Here(bytes);
        entries.push(Entry { name, content });
    }
    Ok(())
}

/// Quality of the pictures in reports, of 100.
const JPEG_QUALITY: u8 = 80;

/// A decoded picture: packed RGB.
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// Decodes a JPEG, PNG, BMP, WebP or TIFF file.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let decoded = match bytes {
            [0xff, 0xd8, ..] => Self::jpeg(bytes),
            _ => None,
        };
        if let Some(picture) = decoded {
            return Ok(picture);
        }
        let rgb = image::load_from_memory(bytes)
            .map_err(|error| error.to_string())?
            .into_rgb8();
        Ok(Self {
            width: rgb.width() as usize,
            height: rgb.height() as usize,
            rgb: rgb.into_raw(),
        })
    }

    /// Decodes a file that somebody sent: of at most `most` pixels, upright as its orientation tag says.
    pub fn decode_sent(bytes: &[u8], most: u64) -> Result<Self, String> {
        let reader = image::ImageReader::new(Cursor::new(bytes));
        let reader = reader.with_guessed_format().map_err(|e| e.to_string())?;
        let is_known = reader.format().is_some();
        if !is_known {
            return Err(format!("it is no picture that can be read ({KINDS})"));
        }
        let damaged = |error: image::ImageError| format!("it is damaged ({error})");
        let mut decoder = reader.into_decoder().map_err(damaged)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > most {
            return Err(format!(
                "it has {width} × {height} pixels, and {} million are the most: crop it to the person",
                most / 1_000_000
            ));
        }
        let orientation = decoder.orientation().map_err(damaged)?;
        let picture = Self::decode(bytes).map_err(|error| format!("it is damaged ({error})"))?;
        Ok(picture.turned(orientation))
    }

    /// Turned and mirrored as a tag says.
    fn turned(self, orientation: Orientation) -> Self {
        if orientation == Orientation::NoTransforms {
            return self;
        }
        let Some(image) = self.to_image() else {
            return self;
        };
        let mut image = image::DynamicImage::from(image);
        image.apply_orientation(orientation);
        let rgb = image.into_rgb8();
        Self::from_rgb(rgb.width() as usize, rgb.height() as usize, rgb.into_raw())
    }

    /// Colour JPEG with chroma interpolated as libjpeg does it, which models are trained and measured with: `image`'s own
    /// decoder moved a detector's AP50 by 0.3. `None` for other kinds of JPEG.
    fn jpeg(bytes: &[u8]) -> Option<Self> {
        let mut decoder = jpeg_decoder::Decoder::new(bytes);
        let rgb = decoder.decode().ok()?;
        let info = decoder.info()?;
        let (width, height) = (usize::from(info.width), usize::from(info.height));
        let is_rgb = info.pixel_format == jpeg_decoder::PixelFormat::RGB24;
        (is_rgb && rgb.len() == width * height * 3).then_some(Self { width, height, rgb })
    }

    /// A picture of packed RGB.
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        debug_assert_eq!(rgb.len(), width * height * 3);
        Self { width, height, rgb }
    }

    /// Width, px.
    pub fn columns(&self) -> usize {
        self.width
    }

    /// Height, px.
    pub fn rows(&self) -> usize {
        self.height
    }

    /// Red, green and blue of every pixel of a row above the bottom.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.rgb[y * self.width * 3..(y + 1) * self.width * 3]
    }

    /// The picture as high as `height`, or less where it would become wider than `width`; for looking at.
    pub fn fitted(&self, width: usize, height: usize) -> Self {
        let factor = f64::min(
            width as f64 / self.width as f64,
            height as f64 / self.height as f64,
        );
        let side = |length: usize| ((length as f64 * factor).round() as usize).max(1);
        let (columns, rows) = (side(self.width), side(self.height));
        let Some(image) = self.to_image() else {
            return Self::from_rgb(1, 1, vec![0; 3]);
        };
        let filter = image::imageops::FilterType::Triangle;
        let small = image::imageops::resize(&image, columns as u32, rows as u32, filter);
        Self::from_rgb(columns, rows, small.into_raw())
    }

    /// The bytes of a JPEG file of it.
    pub fn to_jpeg(&self) -> Result<Vec<u8>, image::ImageError> {
        let mut bytes = Vec::new();
        let mut encoder =
            image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        encoder.encode(
            &self.rgb,
            self.width as u32,
            self.height as u32,
            image::ExtendedColorType::Rgb8,
        )?;
        Ok(bytes)
    }

    /// Writes it as a PNG.
    pub fn save_png(&self, path: &Path) -> Result<(), image::ImageError> {
        let (width, height) = (self.width as u32, self.height as u32);
        let (kind, format) = (image::ExtendedColorType::Rgb8, image::ImageFormat::Png);
        image::save_buffer_with_format(path, &self.rgb, width, height, kind, format)
    }

    fn to_image(&self) -> Option<image::RgbImage> {
        image::RgbImage::from_raw(self.width as u32, self.height as u32, self.rgb.clone())
    }

    /// Reads and decodes a file.
    pub fn open(path: &Path) -> Result<Self, String> {
        fs::read(path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| Self::decode(&bytes))
            .map_err(|error| format!("{} is no picture: {error}", path.display()))
    }

    /// Width, px.
    pub fn width(&self) -> f32 {
        self.width as f32
    }

    /// Height, px.
    pub fn height(&self) -> f32 {
        self.height as f32
    }

    /// The picture as the elements see a frame.
    pub fn view(&self) -> Result<ImageView<'_>, ImageError> {
        let plane = Plane {
            data: &self.rgb,
            stride: self.width * 3,
        };
        ImageView::new(
            PixelFormat::Rgb,
            self.width,
            self.height,
            &[plane],
            Colorimetry::default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_archives_give_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("query")).unwrap();
        fs::write(data.join("query/b.jpg"), "b").unwrap();
        fs::write(data.join("a.PNG"), "a").unwrap();
        let archive = folder.path().join("data.tar");
        let mut builder = tar::Builder::new(File::create(&archive).unwrap());
        builder.append_dir_all("", &data).unwrap();
        builder.finish().unwrap();
        for path in [&data, &archive] {
            let entries = read_all(path).unwrap();
            let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
            assert_eq!(names, ["a.PNG", "query/b.jpg"], "{}", path.display());
            assert!(entries.iter().all(Entry::is_picture));
            assert_eq!((entries[1].file_name(), entries[1].stem()), ("b.jpg", "b"));
            assert_eq!(
                (entries[1].folder(), &*entries[1].bytes().unwrap()),
                ("query", &b"b"[..])
            );
        }
        assert!(read_all(&folder.path().join("none")).is_err());
        assert!(Picture::decode(b"no picture").is_err());
    }

    #[test]
    fn sent_pictures_are_bounded_and_upright() {
        let drawn = image::RgbImage::from_fn(4, 2, |x, y| image::Rgb([x as u8, y as u8, 0]));
        let mut png = Vec::new();
        drawn
            .write_to(&mut Cursor::new(&mut png), image::ImageFormat::Png)
            .unwrap();
        let picture = Picture::decode_sent(&png, 8).unwrap();
        assert_eq!((picture.columns(), picture.rows()), (4, 2));
        let turned = picture.turned(Orientation::Rotate90);
        assert_eq!((turned.columns(), turned.rows()), (2, 4));
        assert_eq!(turned.row(0)[..3], [0, 1, 0], "the left bottom is on top");
        let error = |bytes: &[u8], most| Picture::decode_sent(bytes, most).err().unwrap();
        assert!(error(&png, 7).contains("crop it"), "{}", error(&png, 7));
        assert!(error(&png[..png.len() / 2], 8).contains("damaged"));
        assert!(error(b"%PDF-1.4 not at all", 8).contains("no picture"));
        assert!(error(b"", 8).contains("no picture"));
        // As a phone writes it: the tag in the middle says that the picture lies on its side.
        let mut jpeg = Picture::from_rgb(16, 8, vec![90; 16 * 8 * 3])
            .to_jpeg()
            .unwrap();
        let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        jpeg.splice(2..2, exif.iter().copied());
        let upright = Picture::decode_sent(&jpeg, 200).unwrap();
        assert_eq!((upright.columns(), upright.rows()), (8, 16));
    }

    #[test]
    fn pictures_of_every_kind_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let pixel = |x: u32, y: u32| image::Rgb([x as u8 * 20, y as u8 * 30, 90]);
        let drawn = image::RgbImage::from_fn(9, 5, pixel);
        for ending in ["png", "bmp", "webp", "tif", "TIFF"] {
            let name = format!("a.{ending}");
            drawn.save(folder.path().join(&name)).unwrap();
        }
        let entries = read_all(folder.path()).unwrap();
        assert_eq!(entries.len(), 5);
        for entry in entries {
            assert!(entry.is_picture(), "{}", entry.name);
            let picture = entry.picture().unwrap();
            assert_eq!(
                (picture.columns(), picture.rows()),
                (9, 5),
                "{}",
                entry.name
            );
            assert_eq!(picture.rgb, *drawn.as_raw(), "{}", entry.name);
        }
    }
}
