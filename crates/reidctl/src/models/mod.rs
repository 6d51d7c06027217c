//! `reidctl models`: the models of others that the elements know by name. Nothing is fetched without being asked for.

mod fetch;
mod inspect;
mod store;

use std::{
    error::Error,
    fs,
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use gstreid::inference::{
    catalogue::{self, Format, Known, Purpose},
    models,
};
use serde_json::json;

use self::inspect::Inspected;
use crate::outcome::Outcome;

#[derive(clap::Args)]
#[command(after_help = "\
Models lie in the folder of user data; the elements find them there by name, as in yolodetect model=rtmdet-nano. A folder given with \
--folder must be in GST_REID_MODELS.\n
Example: reidctl models get rtmdet-nano")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the models that are known or here: task, licence, size, figures.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Inspect an ONNX file, try it on drawn pictures and copy it to the models, with what was found out in a .toml beside it.
    Import {
        file: PathBuf,
        /// Name of the model. Default: that of the file.
        #[arg(long)]
        name: Option<String>,
        /// Replace a model of that name.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Fetch a model of the catalogue from its makers.
    Get {
        name: String,
        /// Keep it without asking, though its checksum was never verified.
        #[arg(long)]
        yes: bool,
        /// Replace a model of that name.
        #[arg(long)]
        replace: bool,
        /// Give up when the server sends nothing for so many seconds.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
        timeout: u64,
        #[command(flatten)]
        place: Place,
    },
}

/// Where models and the catalogue are.
#[derive(clap::Args)]
struct Place {
    /// Folder of the models. Default: that of user data, ~/.local/share/gst-plugin-reid/models.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Another catalogue, written as models/catalogue.toml.
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
}

impl Place {
    fn known(&self) -> Result<Vec<Known>, String> {
        let Some(file) = &self.catalogue else {
            return Ok(catalogue::catalogue().to_vec());
        };
        let text = fs::read_to_string(file).map_err(|error| error.to_string());
        text.and_then(|text| catalogue::parse(&text))
            .map_err(|error| format!("{}: {error}; see models/catalogue.toml", file.display()))
    }

    fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(models::user_folder)
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    match &arguments.command {
        Command::List { json, place } => list(place, *json, out)?,
        Command::Import {
            file,
            name,
            replace,
            place,
        } => import(file, name.as_deref(), *replace, place, out)?,
        Command::Get {
            name,
            yes,
            replace,
            timeout,
            place,
        } => {
            let wanted = Wanted {
                name,
                is_agreed: *yes,
                replace: *replace,
                silence: Duration::from_secs(*timeout),
            };
            get(&wanted, place, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Folders in which a model may be.
fn folders(place: &Place) -> Vec<PathBuf> {
    let own = place.folder.iter().cloned();
    own.chain(models::folders()).collect()
}

fn list(place: &Place, is_json: bool, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    gst::init()?;
    let folders = folders(place);
    let here = |known: &Known| {
        let files = folders.iter().map(|folder| folder.join(known.file()));
        files.into_iter().find(|file| file.is_file())
    };
    let known = place.known()?;
    if is_json {
        let models: Vec<_> = known
            .iter()
            .map(|known| {
                json!({ "name": known.name, "task": task(known.task), "licence": known.licence,
                    "format": format_name(known.format), "address": known.address, "size": known.size,
                    "sha256": known.verified().unwrap_or("unverified"), "measured": known.measured,
                    "file": here(known) })
            })
            .collect();
        serde_json::to_writer_pretty(&mut *out, &json!({ "models": models }))?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<14} {:<7} {:<11} {:>7} {:<18} figures",
        "name", "task", "licence", "MB", "state"
    )?;
    for known in &known {
        let size = known
            .size
            .map_or_else(|| "?".into(), |size| format!("{:.1}", size as f64 / 1e6));
        let state = match (here(known), known.format) {
            (Some(_), _) => "here",
            (None, Format::Onnx | Format::Zip) if known.verified().is_some() => "get",
            (None, Format::Onnx | Format::Zip) => "get, unverified",
            (None, Format::OpenvinoIr | Format::Pytorch) => "needs conversion",
        };
        writeln!(
            out,
            "{:<14} {:<7} {:<11} {size:>7} {state:<18} {}",
            known.name,
            task(known.task),
            known.licence,
            known.measured.as_deref().unwrap_or("")
        )?;
    }
    for name in own(&place.folder(), &known) {
        writeln!(out, "{name:<14} {:<7} {:<11} {:>7} here", "", "", "")?;
    }
    Ok(())
}

/// Names of models that the user has imported.
fn own(folder: &Path, known: &[Known]) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".onnx").map(str::to_owned))
        .filter(|name| !known.iter().any(|known| known.name == *name))
        .collect();
    names.sort();
    names
}

const fn task(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Detect => "detect",
        Purpose::Embed => "embed",
    }
}

const fn format_name(format: Format) -> &'static str {
    match format {
        Format::Onnx => "onnx",
        Format::Zip => "zip",
        Format::OpenvinoIr => "openvino-ir",
        Format::Pytorch => "pytorch",
    }
}

fn import(
    file: &Path,
    name: Option<&str>,
    replace: bool,
    place: &Place,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    if matches!(ending, Some("xml" | "bin")) {
        return Err(format!("{}: {CONVERT_IR}", file.display()).into());
    }
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let name = store::checked_name(name.or(stem).unwrap_or_default())?;
    let known = place.known()?.into_iter().find(|known| known.name == name);
    let inspected = Inspected::open(file, known.as_ref().map(|known| known.task))?;
    inspected.tell(out)?;
    let kept = store::Kept {
        folder: place.folder(),
        name,
        replace,
    };
    let target = kept.copy(file, &inspected)?;
    told(&target, &inspected, out)
}

/// What is to be fetched.
struct Wanted<'a> {
    name: &'a str,
    /// Whether it is kept without a question.
    is_agreed: bool,
    replace: bool,
    silence: Duration,
}

fn get(wanted: &Wanted, place: &Place, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let name = wanted.name;
    let all = place.known()?;
    let known = all.iter().find(|known| known.name == name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|known| known.name.as_str()).collect();
        format!(
            "there is no model '{name}' in the catalogue; it has {}",
            names.join(", ")
        )
    })?;
    match known.format {
        Format::Onnx | Format::Zip => {}
        Format::OpenvinoIr => {
            return Err(format!("{name} ({}): {CONVERT_IR}", known.address).into());
        }
        Format::Pytorch => {
            return Err(format!("{name} ({}): {CONVERT_PYTORCH}", known.address).into());
        }
    }
    let kept = store::Kept {
        folder: place.folder(),
        name: name.to_owned(),
        replace: wanted.replace,
    };
    kept.check_free()?;
    fs::create_dir_all(&kept.folder)
        .map_err(|error| format!("{} cannot be made: {error}", kept.folder.display()))?;
    let part = kept.folder.join(format!(".{name}.part"));
    let got = fetch::fetch(&known.address, &part, wanted.silence)?;
    if let Err(reason) = agrees(known, &got) {
        fs::remove_file(&part)?;
        return Err(reason.into());
    }
    if known.verified().is_none() {
        writeln!(out, "{}", described(known, &got))?;
        out.flush()?;
        if !wanted.is_agreed && !asked("Keep it?", out)? {
            return Err(format!(
                "it was not kept; it waits in {} for `reidctl models get {name} --yes`",
                part.display()
            )
            .into());
        }
    }
    let model = match &known.member {
        Some(member) => store::unpacked(&part, member)?,
        None => part.clone(),
    };
    let sidecar = known.sidecar.as_deref();
    let inspected = kept.inspect_part(&model, sidecar, known.task);
    let result = inspected.and_then(|inspected| {
        inspected.tell(out)?;
        let target = kept.take(&model, &inspected)?;
        told(&target, &inspected, out)
    });
    if known.member.is_some() || result.is_err() {
        // What is no model is not worth continuing.
        let _ = fs::remove_file(&part);
    }
    result
}

/// Refuses what is certainly not what was wanted.
fn agrees(known: &Known, got: &fetch::Got) -> Result<(), String> {
    match known.verified() {
        Some(sum) if !sum.eq_ignore_ascii_case(&got.sha256) => Err(format!(
            "{}: the checksum is {} instead of {sum}: the file is corrupt or another one; it was deleted. Try again later",
            known.address, got.sha256
        )),
        _ => Ok(()),
    }
}

/// What came from an address that nobody has checked.
fn described(known: &Known, got: &fetch::Got) -> String {
    let mut text = format!(
        "{}: nobody here has verified this address. Received:\n  from      {}\n  size      {} bytes",
        known.name, got.source, got.size
    );
    if let Some(size) = known.size.filter(|size| *size != got.size) {
        text += &format!(" (the catalogue says {size})");
    }
    text += &format!("\n  sha256    {}", got.sha256);
    match &known.reported {
        Some(sum) if sum.eq_ignore_ascii_case(&got.sha256) => {
            text += "\n            as others report it";
        }
        Some(sum) => text += &format!("\n            NOT what others report: {sum}"),
        None => {}
    }
    text += &format!(
        "\n  licence   {} (by the catalogue; read that of its makers)",
        known.licence
    );
    text
}

/// A question on the terminal.
fn asked(question: &str, out: &mut dyn Write) -> Result<bool, Box<dyn Error>> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn told(target: &Path, inspected: &Inspected, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let stem = target.file_stem().unwrap_or_default().to_string_lossy();
    let element = match inspected.purpose() {
        Purpose::Detect => "yolodetect",
        Purpose::Embed => "reidembed",
    };
    writeln!(
        out,
        "{}\nuse it with: {element} model={stem}",
        target.display()
    )?;
    Ok(())
}

const CONVERT_IR: &str = "this is a model of OpenVINO (.xml and .bin), which ONNX Runtime cannot read, and OpenVINO itself writes no ONNX. \
Take the ONNX file that its makers publish beside it, if there is one, or convert it, for instance with the Python package openvino2onnx (not tried here), \
and give the result to `reidctl models import FILE`";

const CONVERT_PYTORCH: &str = "its makers publish a PyTorch checkpoint, not an ONNX file. Export it with their own tool (RTMDet: MMDeploy's \
tools/deploy.py; DEIMv2: tools/deployment/export_onnx.py) and give the result to `reidctl models import FILE`";
