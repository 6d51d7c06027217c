//! A PostgreSQL server of the tests' own, in a folder that goes with it.
#![allow(dead_code)] // each test program uses a part

use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// What everybody's password is; no message may hold it.
pub const PASSWORD: &str = "open-sesame";
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that ends with this process, however that ends.
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    running: Mutex<Option<(Child, ChildStdin)>>,
    databases: AtomicU32,
}

impl Server {
    /// The server that the tests of this program share.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// A new one; where there is no PostgreSQL it is said and the test is skipped.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!(
                "skipped: no PostgreSQL server is installed (scripts/setup.sh test installs it)"
            );
            return None;
        };
        let folder = tempfile::Builder::new()
            .prefix("reid-postgres-")
            .tempdir()
            .unwrap();
        // The script that runs the server removes it.
        let folder = folder.keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = Self {
            programs,
            folder,
            port,
            running: Mutex::new(None),
            databases: AtomicU32::new(0),
        };
        server.initialise();
        server.run();
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A command as a user who may run a server: root may not.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        match unprivileged() {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"])
                    .arg(program);
                command
            }
        }
    }

    fn initialise(&self) {
        let password = self.folder.join("password");
        fs::write(&password, PASSWORD).unwrap();
        fs::create_dir(self.data()).unwrap();
        self.give(&password);
        self.give(&self.data());
        let output = self
            .command("initdb")
            .args([
                "-U",
                "reid",
                "-A",
                "scram-sha-256",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            ])
            .arg(format!("--pwfile={}", password.display()))
            .arg(self.data())
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Makes the server's user the owner of a file.
    pub fn give(&self, path: &Path) {
        if let Some(user) = unprivileged() {
            let id = |flag: &str| -> u32 {
                let output = Command::new("id").args([flag, &user]).output().unwrap();
                String::from_utf8_lossy(&output.stdout)
                    .trim()
                    .parse()
                    .unwrap()
            };
            chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
        }
    }

    /// The folder of its settings and data.
    pub fn settings(&self) -> PathBuf {
        self.data()
    }

    /// Starts it (again), and waits until it answers.
    pub fn run(&self) {
        self.run_without_waiting();
        let end = Instant::now() + PATIENCE;
        while self.session("postgres").is_err() {
            assert!(Instant::now() < end, "the server does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts it (again).
    pub fn run_without_waiting(&self) {
        let server = self.command("postgres");
        // The shell waits for the end of its input: this process closes it, or dies.
        let mut child = Command::new("sh")
            .args(["-c", "\"$@\" & pid=$!; read -r what; kill -INT $pid; wait $pid; [ \"$what\" = stay ] || rm -rf \"$0\""])
            .arg(&self.folder)
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-k", &self.folder.join("data").display().to_string()])
            .args(["-c", "listen_addresses=localhost", "-c", "fsync=off", "-c", "max_connections=60"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        *self.running.lock().unwrap() = Some((child, input));
    }

    /// Stops it as `pg_ctl stop -m fast` does; its data stay.
    pub fn stop(&self) {
        let running = self.running.lock().unwrap().take();
        if let Some((mut child, mut input)) = running {
            input.write_all(b"stay\n").unwrap();
            drop(input);
            child.wait().unwrap();
        }
    }

    /// A connection.
    pub fn session(&self, database: &str) -> Result<postgres::Client, postgres::Error> {
        let uri = self.uri(database);
        uri.parse::<postgres::Config>()
            .unwrap()
            .connect(postgres::NoTls)
    }

    /// Runs statements.
    pub fn execute(&self, database: &str, sql: &str) {
        self.session(database).unwrap().batch_execute(sql).unwrap();
    }

    /// The first column of a query's rows.
    pub fn numbers(&self, database: &str, sql: &str) -> Vec<i32> {
        let rows = self.session(database).unwrap().query(sql, &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// A new, empty database.
    pub fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Where a database is.
    pub fn uri(&self, database: &str) -> String {
        format!(
            "postgresql://reid:{PASSWORD}@localhost:{}/{database}",
            self.port
        )
    }

    /// Where the server listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match running {
            Some((mut child, input)) => {
                drop(input);
                let _ = child.wait();
            }
            None => {
                let _ = fs::remove_dir_all(&self.folder);
            }
        }
    }
}

/// Where the server's programs are: where this variable says, the newest version that Debian installed, or in the path.
const PROGRAMS: &str = "GST_REID_TEST_POSTGRES";

fn programs() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql")
        .ok()
        .into_iter()
        .flatten();
    let mut found: Vec<PathBuf> = debian
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    found.sort();
    found.reverse();
    if let Some(folder) = std::env::var_os(PROGRAMS) {
        found.insert(0, folder.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path));
    found
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// The user to run as when this one is root.
fn unprivileged() -> Option<String> {
    let output = Command::new("id").arg("-u").output().unwrap();
    let is_root = String::from_utf8_lossy(&output.stdout).trim() == "0";
    is_root.then(|| {
        let known = Command::new("id")
            .args(["-u", "postgres"])
            .output()
            .unwrap();
        if known.status.success() {
            "postgres"
        } else {
            "nobody"
        }
        .to_owned()
    })
}
