//! `reidctl run`: many cameras from one file, each restarted when it fails, with one gallery and an optional web page.

mod age;
mod backoff;
pub mod board;
mod camera;
mod check;
mod config;
mod films;
mod line;
mod load;
mod locate;
mod memory;
mod mosaic;
mod notes;
mod notify;
mod output;
pub mod percent;
mod probes;
pub mod secrets;
mod service;
mod shared_text;
mod source;
mod supervisor;
mod table;
pub mod visits;

use std::{
    fs,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant, SystemTime},
};

use serde_json::Map;

pub use self::output::plain;

use self::{
    board::{Board, lock},
    config::Config,
    line::Plan,
    load::load,
    notify::Manager,
    output::Output,
    service::Order,
    supervisor::Supervisor,
};
use crate::{outcome::Outcome, page};

/// How often the program looks around.
const TICK: Duration = Duration::from_millis(200);
/// How often it is looked whether the file has changed.
const FILE_CHECK: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
#[command(after_help = "\
FILE lists the cameras, in JSON, or in TOML if its name ends in .toml. docs/run.md describes it. A short example:\n
  {\"cameras\": [{\"name\": \"door\", \"source\": 0}, {\"name\": \"hall\", \"source\": \"rtsp://192.168.1.20/stream\"}]}\n
A camera that fails or stalls is restarted. When the file changes, or on SIGHUP, cameras are added, removed and changed. \
Ctrl-C and SIGTERM finish the recordings.")]
pub struct Arguments {
    /// The cameras file. Not needed with --schema.
    #[arg(required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Check the file without starting anything.
    #[arg(long)]
    check: bool,
    /// Print the launch line of each camera, without passwords.
    #[arg(long)]
    print: bool,
    /// Print the JSON Schema of the file.
    #[arg(long)]
    schema: bool,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
    /// Seconds between status lines, in a pipe or with --json.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// Address of the web page, such as 127.0.0.1:8090. Addresses other than loopback need a token.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// File with the token of the web page, at least 16 characters. Default: the environment variable REIDCTL_TOKEN.
    #[arg(long, requires = "listen")]
    token_file: Option<PathBuf>,
    /// Show all cameras in a window. auto: where the output is a terminal with a display, and there is no --listen and no --json.
    #[arg(
        long,
        value_enum,
        default_value_t = Window::Auto,
        default_missing_value = "yes",
        num_args = 0..=1,
        require_equals = true
    )]
    window: Window,
}

/// When the mosaic is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Window {
    Auto,
    Yes,
    No,
}

impl Window {
    /// Whether there is a window. `is_watched`: somebody sits at a terminal and sees the cameras nowhere else.
    fn is_open(self, is_watched: bool, variable: impl Fn(&str) -> bool) -> Result<bool, String> {
        let has_display = variable("DISPLAY") || variable("WAYLAND_DISPLAY");
        let is_service = variable("NOTIFY_SOCKET");
        match self {
            Self::No => Ok(false),
            Self::Auto => Ok(is_watched && has_display && !is_service),
            Self::Yes if is_service => {
                Err("--window: a service has no window; look at the page instead (--listen)".into())
            }
            Self::Yes if !has_display => Err(
                "--window: there is no display (DISPLAY and WAYLAND_DISPLAY are not set); start it in a graphical session, or look at the page (--listen)"
                    .into(),
            ),
            Self::Yes => Ok(true),
        }
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    if arguments.schema {
        serde_json::to_writer_pretty(&mut *out, &config::schema())?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let file = arguments
        .file
        .as_deref()
        .ok_or("the cameras file is missing")?;
    memory::return_what_is_freed();
    // Models that the file names are looked for beside the plugin.
    gst::init()?;
    let config = load(file)?;
    if arguments.check {
        let count = config.cameras.len();
        writeln!(out, "{}: {count} cameras, no errors", file.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.print {
        print(&config, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let access = arguments
        .listen
        .map(|address| page::Access::new(address, arguments.token_file.as_deref()))
        .transpose()?;
    // The elements that this program was built with, whatever GStreamer finds elsewhere.
    gstreid::plugin_register_static()?;
    parse_jpeg();
    Program::start(arguments, file, config, access)?.run(out)
}

/// Has JPEG streams parsed, so that they can be recorded as received: files want the size of pictures, and GStreamer 1.22 leaves the
/// parser out.
fn parse_jpeg() {
    use gst::prelude::*;
    if let Some(parser) = gst::Registry::get().lookup_feature("jpegparse") {
        parser.set_rank(gst::Rank::PRIMARY);
    }
}

/// A launch line for each camera.
fn print(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    for camera in config.cameras.iter().filter(|camera| camera.enabled) {
        let options = camera.options.or(&config.options);
        let plan = Plan {
            config,
            name: &camera.name,
            source: &camera.source,
            options: &options,
            stamp: "TIME",
            has_page: false,
            mosaic: config.mosaic.folder.is_some().then_some(&config.mosaic),
        };
        writeln!(out, "# {}\n{}", camera.name, plan.line().shown())?;
    }
    let cameras = config
        .cameras
        .iter()
        .filter(|camera| camera.enabled)
        .count();
    if let Some(line) = line::recorded_mosaic(&config.mosaic, cameras, "TIME") {
        writeln!(
            out,
            "# mosaic, whose pictures reidctl makes\n{}",
            line.shown()
        )?;
    }
    Ok(())
}

/// The running program.
struct Program<'a> {
    file: &'a Path,
    seen: Option<(SystemTime, u64)>,
    board: Arc<Board>,
    supervisor: Supervisor,
    /// The gallery as the page sees it: another after a reload that names another.
    gallery: page::CurrentGallery,
    orders: Receiver<Order>,
    manager: Manager,
    output: Output,
    has_page: bool,
}

impl<'a> Program<'a> {
    fn start(
        arguments: &Arguments,
        file: &'a Path,
        config: Config,
        access: Option<page::Access>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let board = Arc::new(Board::default());
        let output = Output::new(
            arguments.json,
            !arguments.json && io::stdout().is_terminal(),
            Duration::from_secs(arguments.interval),
            &board,
        );
        let is_watched = !arguments.json && access.is_none() && io::stdout().is_terminal();
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let has_window = arguments.window.is_open(is_watched, is_set)?;
        let (orders_in, orders) = mpsc::channel();
        let has_page = access.is_some();
        // Signals first: whoever stops the program while models load is heard.
        let service = service::bind(access)?;
        if let Some(address) = service.page() {
            let mut facts = Map::new();
            facts.insert("text".into(), format!("http://{address}/").into());
            board.tell("page", None, facts);
        }
        let supervisor = Supervisor::start(config, board.clone(), has_page, has_window)?;
        let gallery = Arc::new(Mutex::new(supervisor.gallery().clone()));
        service.start(board.clone(), gallery.clone(), orders_in)?;
        Ok(Self {
            file,
            seen: version(file),
            board,
            supervisor,
            gallery,
            orders,
            manager: Manager::from_environment(),
            output,
            has_page,
        })
    }

    fn run(mut self, out: &mut dyn Write) -> Outcome {
        self.manager.tell("READY=1");
        let mut checked = Instant::now();
        let ended = loop {
            match self.orders.recv_timeout(TICK) {
                Ok(Order::Reload) => self.reload(),
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if checked.elapsed() >= FILE_CHECK {
                checked = Instant::now();
                if version(self.file).is_some_and(|now| Some(now) != self.seen) {
                    self.reload();
                }
                if !self.has_page && self.supervisor.is_over() {
                    break Ok(());
                }
            }
            self.manager.alive();
            match self.output.show(&self.board, out) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.manager.tell("STOPPING=1");
        self.output.close();
        let stopped = self.supervisor.stop();
        // What the cameras said last; a reader that has gone wants none of it.
        let last = self.output.show(&self.board, out);
        ended.and(last)?;
        if !stopped {
            return Err("a camera did not stop in time; its last file may be incomplete".into());
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Takes over what the file says now; a file with mistakes changes nothing.
    fn reload(&mut self) {
        self.seen = version(self.file).or(self.seen);
        let text = match load(self.file) {
            Err(mistakes) => format!("the file is not applied: {mistakes}"),
            Ok(config) => match self.supervisor.reload(config) {
                Err(error) => format!("the file is not applied: {error}"),
                Ok(changed) => {
                    *lock(&self.gallery) = self.supervisor.gallery().clone();
                    let list = |names: Vec<String>| match names.is_empty() {
                        true => "none".to_owned(),
                        false => names.join(", "),
                    };
                    format!(
                        "added {}; removed {}; changed {}",
                        list(changed.added),
                        list(changed.removed),
                        list(changed.changed)
                    )
                }
            },
        };
        let mut facts = Map::new();
        facts.insert("text".into(), text.into());
        self.board.tell("reload", None, facts);
    }
}

/// What tells one state of a file from the next.
fn version(file: &Path) -> Option<(SystemTime, u64)> {
    let facts = fs::metadata(file).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}
