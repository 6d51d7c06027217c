//! A file of lines that begins anew when it is large or old enough.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// When a file is over, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rotation {
    /// Largest size, bytes; 0: any.
    pub size: u64,
    /// Longest time from first to last line, ns; 0: any.
    pub time_ns: u64,
    /// How many earlier files are kept.
    pub files: u32,
}

/// The open file. Earlier ones are `name.1` (the newest), `name.2` and so on.
pub(super) struct LineFile {
    path: PathBuf,
    rotation: Rotation,
    file: BufWriter<File>,
    /// What it holds, bytes.
    size: u64,
    /// Time of its first line.
    began_ns: Option<u64>,
}

impl LineFile {
    /// Opens a file at its end, or emptied.
    pub fn open(path: &Path, append: bool, rotation: Rotation) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        match append {
            true => options.append(true),
            false => options.write(true).truncate(true),
        };
        let file = options.create(true).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            rotation,
            size: file.metadata()?.len(),
            file: BufWriter::new(file),
            began_ns: None,
        })
    }

    /// Writes the lines of one moment, which stay together.
    pub fn write(&mut self, text: &str, time_ns: u64) -> io::Result<()> {
        if self.is_over(text.len() as u64, time_ns) {
            self.rotate()?;
        }
        self.began_ns.get_or_insert(time_ns);
        self.file.write_all(text.as_bytes())?;
        self.size += text.len() as u64;
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn is_over(&self, more: u64, time_ns: u64) -> bool {
        let Rotation {
            size, time_ns: age, ..
        } = self.rotation;
        let is_large = size > 0 && self.size > 0 && self.size + more > size;
        let began_ns = self.began_ns.unwrap_or(time_ns);
        is_large || (age > 0 && time_ns.abs_diff(began_ns) >= age)
    }

    /// Begins a new file. The oldest goes.
    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let is_there = |number: &u32| self.earlier(*number).exists();
        let moved = (1..self.rotation.files).take_while(is_there).count() as u32;
        for number in (1..=moved).rev() {
            fs::rename(self.earlier(number), self.earlier(number + 1))?;
        }
        if self.rotation.files > 0 {
            fs::rename(&self.path, self.earlier(1))?;
        }
        *self = Self::open(&self.path, false, self.rotation)?;
        Ok(())
    }

    fn earlier(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(folder: &Path) -> Vec<(String, String)> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut all: Vec<_> = entries
            .map(|entry| {
                let text = fs::read_to_string(entry.path()).unwrap();
                (entry.file_name().into_string().unwrap(), text)
            })
            .collect();
        all.sort();
        all
    }

    fn write(append: bool, rotation: Rotation, lines: &[(&str, u64)]) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen");
        fs::write(&path, "old\n").unwrap();
        let mut file = LineFile::open(&path, append, rotation).unwrap();
        lines
            .iter()
            .for_each(|(text, time)| file.write(text, *time).unwrap());
        file.flush().unwrap();
        contents(folder.path())
    }

    fn expected(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        files.iter().map(owned).collect()
    }

    const NEVER: Rotation = Rotation {
        size: 0,
        time_ns: 0,
        files: 2,
    };

    #[test]
    fn a_file_is_replaced_or_appended_to() {
        let lines = [("a\n", 0), ("b\n", 1 << 60)];
        assert_eq!(write(false, NEVER, &lines), expected(&[("seen", "a\nb\n")]));
        assert_eq!(
            write(true, NEVER, &lines),
            expected(&[("seen", "old\na\nb\n")])
        );
    }

    #[test]
    fn a_full_file_is_kept_beside_the_new_one_and_the_oldest_goes() {
        let by_size = Rotation { size: 5, ..NEVER };
        let lines = [
            ("a\n", 0),
            ("b\n", 0),
            ("c\n", 0),
            ("longer than that\n", 0),
            ("d\n", 0),
        ];
        assert_eq!(
            write(true, by_size, &lines),
            expected(&[
                ("seen", "d\n"),
                ("seen.1", "longer than that\n"),
                ("seen.2", "c\n")
            ])
        );
        let any = Rotation {
            files: u32::MAX,
            ..by_size
        };
        assert_eq!(write(true, any, &lines).len(), 5);
        let none = Rotation {
            files: 0,
            ..by_size
        };
        assert_eq!(write(true, none, &lines), expected(&[("seen", "d\n")]));
    }

    #[test]
    fn an_old_file_is_over_whichever_way_time_goes() {
        let by_time = Rotation {
            time_ns: 10,
            ..NEVER
        };
        let lines = [("a\n", 100), ("b\n", 109), ("c\n", 110), ("d\n", 0)];
        assert_eq!(
            write(false, by_time, &lines),
            expected(&[("seen", "d\n"), ("seen.1", "c\n"), ("seen.2", "a\nb\n")])
        );
    }
}
