//! Reads a cameras file. Errors have file, line, key and remedy; all are reported at once if the file can be parsed.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use super::{
    check,
    config::Config,
    locate::{line_at, line_of},
};

/// Longest file that is read, bytes.
const LONGEST: u64 = 4 << 20;

/// Something wrong with the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// The file.
    pub file: PathBuf,
    /// From 1.
    pub line: Option<usize>,
    /// Such as `cameras[3].source`; empty: the whole file.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}; {}", self.what, self.remedy)
    }
}

/// All mistakes of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.0.iter().enumerate() {
            write!(f, "{}{mistake}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Reads and checks `file`. Relative paths in it are relative to its folder; the configuration holds them made whole.
pub fn load(file: &Path) -> Result<Config, Mistakes> {
    let mistake = |what: String, remedy: &str| {
        Mistakes(vec![Mistake {
            file: file.into(),
            line: None,
            key: String::new(),
            what,
            remedy: remedy.into(),
        }])
    };
    let length = fs::metadata(file).map(|facts| facts.len());
    if length.is_ok_and(|length| length > LONGEST) {
        return Err(mistake(
            format!("is longer than {LONGEST} bytes"),
            "give a cameras file",
        ));
    }
    let text = fs::read_to_string(file).map_err(|error| {
        mistake(
            format!("cannot be read: {error}"),
            "give the path of a JSON or TOML file that you may read",
        )
    })?;
    let is_toml = file.extension().is_some_and(|ending| ending == "toml");
    let mut config = parse(&text, is_toml).map_err(|mut mistake| {
        mistake.file = file.into();
        Mistakes(vec![mistake])
    })?;
    let folder = file.parent().unwrap_or(Path::new(""));
    config.make_whole(folder);
    let mut mistakes = check::check(&config);
    for mistake in &mut mistakes {
        mistake.file = file.into();
        mistake.line = line_of(&text, is_toml, &mistake.key);
    }
    if mistakes.is_empty() {
        Ok(config)
    } else {
        Err(Mistakes(mistakes))
    }
}

fn parse(text: &str, is_toml: bool) -> Result<Config, Mistake> {
    if is_toml {
        let read = toml::Deserializer::parse(text).map_err(|error| (String::new(), error));
        let read = read.and_then(|document| {
            serde_path_to_error::deserialize(document).map_err(|error| {
                let key = error.path().to_string();
                (key, error.into_inner())
            })
        });
        return read.map_err(|(key, error)| {
            let line = error.span().map(|span| line_at(text, span.start));
            unreadable(error.message(), line, key)
        });
    }
    let mut document = serde_json::Deserializer::from_str(text);
    let config: Config = serde_path_to_error::deserialize(&mut document).map_err(|error| {
        let key = error.path().to_string();
        let error = error.into_inner();
        let said = error.to_string();
        let what = said.split(" at line ").next().unwrap_or(&said);
        unreadable(what, Some(error.line()), key)
    })?;
    document.end().map_err(|error| {
        unreadable(
            "something follows the end of the file",
            Some(error.line()),
            String::new(),
        )
    })?;
    Ok(config)
}

fn unreadable(what: &str, line: Option<usize>, key: String) -> Mistake {
    Mistake {
        file: PathBuf::new(),
        line,
        key: if key == "." { String::new() } else { key },
        what: what.trim_end().to_owned(),
        remedy: remedy(what),
    }
}

fn remedy(what: &str) -> String {
    let quoted: Vec<&str> = what.split('`').skip(1).step_by(2).collect();
    if what.starts_with("unknown") && quoted.len() > 1 {
        let nearest = quoted[1..]
            .iter()
            .min_by_key(|known| distance(quoted[0], known));
        if let Some(nearest) = nearest.filter(|known| distance(quoted[0], known) <= 3) {
            return format!("did you mean `{nearest}`?");
        }
    }
    if let Some(missing) = what.strip_prefix("missing field ") {
        return format!("add {missing}");
    }
    "`reidctl run --schema` and docs/run.md say what is possible".into()
}

/// Number of letters to change, add or leave out (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str, is_toml: bool) -> (Option<usize>, String, String) {
        let mistake = parse(text, is_toml).unwrap_err();
        (mistake.line, mistake.key.clone(), mistake.to_string())
    }

    #[test]
    fn the_first_projects_form_is_read() {
        let text = r#"{"cameras": [{"camname": "door", "ip": 0}, {"camname": "hall", "ip": "rtsp://h/1"}]}"#;
        let config = parse(text, false).unwrap();
        let names: Vec<&str> = config.cameras.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["door", "hall"]);
    }

    #[test]
    fn mistakes_have_a_line_a_key_and_a_remedy() {
        let (line, key, said) =
            mistake("{\"cameras\": [\n{\"name\": \"a\",\n\"sorce\": 1}]}", false);
        assert_eq!((line, key.as_str()), (Some(3), "cameras[0].sorce"));
        assert!(said.contains("did you mean `source`?"), "{said}");
        let (line, _, said) = mistake("[[cameras]]\nname = 'a'\n", true);
        assert!(line.is_some() && said.contains("add `source`"), "{said}");
        let (line, key, _) = mistake(
            "[[cameras]]\nname = 'a'\nsource = 0\noptions = { threshold = 'x' }\n",
            true,
        );
        assert_eq!(
            (line, key.as_str()),
            (Some(4), "cameras[0].options.threshold")
        );
        let (line, _, _) = mistake("{\"cameras\": [}", false);
        assert_eq!(line, Some(1));
        assert!(parse("{} {}", false).is_err());
    }
}
