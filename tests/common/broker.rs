//! A throw-away MQTT broker, and its own client to read along.
#![allow(dead_code)] // each test program uses a part

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub const USER: &str = "camera";
pub const PASSWORD: &str = "secret-of-the-camera";

/// Waits until something holds, a minute at most.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what} never came"
        );
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A field of the `stats` of `reidpublish`.
pub fn stat<T>(publisher: &gst::Element, name: &str) -> T
where
    T: for<'a> gst::glib::value::FromValue<'a> + 'static,
{
    let stats: gst::Structure = gst::prelude::ObjectExt::property(publisher, "stats");
    stats.get(name).unwrap()
}

/// mosquitto in a folder of its own. Killed when dropped.
pub struct Broker {
    folder: tempfile::TempDir,
    pub port: u16,
    /// Over TLS, where there are certificates.
    pub tls_port: u16,
    server: Option<Child>,
}

/// A port that nobody listens on; free again when the listener is dropped.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Runs openssl in a folder; whether there is one.
fn openssl(folder: &Path, arguments: &str) -> bool {
    let done = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match done {
        Ok(status) => {
            assert!(status.success(), "openssl {arguments}");
            true
        }
        Err(_) => false,
    }
}

/// `NAME.pem` and `NAME.key`, a certificate that `ca` has signed.
fn certify(folder: &Path, name: &str, ca: &str, subject: &str) {
    let request = format!(
        "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={subject} -addext subjectAltName=DNS:localhost"
    );
    let sign = format!(
        "x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -out {name}.pem -days 2 -copy_extensions copy"
    );
    assert!(openssl(folder, &request) && openssl(folder, &sign));
}

impl Broker {
    /// Not started yet; where mosquitto is missing it is said and the test is skipped.
    pub fn prepare() -> Option<Self> {
        let program = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"];
        if !program.iter().any(|path| Path::new(path).is_file()) {
            eprintln!("skipped: mosquitto is not installed (scripts/setup.sh test installs it)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let passwords = folder.path().join("passwords");
        let done = Command::new("mosquitto_passwd")
            .args(["-b", "-c"])
            .arg(&passwords)
            .args([USER, PASSWORD])
            .status();
        assert!(done.unwrap().success());
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\npersistence false\nuser root\n",
            passwords.display()
        );
        fs::write(folder.path().join("conf"), text).unwrap();
        Some(Self {
            folder,
            port,
            tls_port,
            server: None,
        })
    }

    /// The same with TLS besides, on `tls_port`, for the host `localhost`: `ca.pem` has signed the broker's certificate and
    /// `camera.pem`, `other.pem` neither. `wants_certificates`: of clients.
    pub fn prepare_with_tls(wants_certificates: bool) -> Option<Self> {
        let broker = Self::prepare()?;
        let folder = broker.folder.path();
        for ca in ["ca", "other"] {
            let make = format!(
                "req -x509 -newkey rsa:2048 -nodes -keyout {ca}.key -out {ca}.pem -days 2 -subj /CN=authority-{ca}"
            );
            if !openssl(folder, &make) {
                eprintln!("skipped: openssl is not installed (scripts/setup.sh test installs it)");
                return None;
            }
        }
        certify(folder, "broker", "ca", "localhost");
        certify(folder, "camera", "ca", "camera");
        let text = format!(
            "listener {} 127.0.0.1\ncafile {ca}\ncertfile {certificate}\nkeyfile {key}\nrequire_certificate {wants_certificates}\n",
            broker.tls_port,
            ca = broker.file("ca.pem"),
            certificate = broker.file("broker.pem"),
            key = broker.file("broker.key"),
        );
        let conf = folder.join("conf");
        let plain = fs::read_to_string(&conf).unwrap();
        fs::write(conf, plain + &text).unwrap();
        Some(broker)
    }

    /// The path of a file in the broker's folder.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn start(&mut self) {
        let path = std::env::var("PATH").unwrap_or_default();
        let server = Command::new("mosquitto")
            .env("PATH", format!("{path}:/usr/sbin"))
            .arg("-c")
            .arg(self.folder.path().join("conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.server = Some(server.unwrap());
        let port = self.port;
        wait_for("the broker", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// One of mosquitto's clients, logged in.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let port = self.port.to_string();
        command.args(["-h", "127.0.0.1", "-p", &port, "-u", USER, "-P", PASSWORD]);
        command
    }

    /// Reads everything below `reid/` into a file, a line each: topic, a blank, message.
    pub fn reader(&self, name: &str) -> Reader {
        let file = self.folder.path().join(name);
        let program = self
            .client("mosquitto_sub")
            .args(["-q", "1", "-t", "reid/#", "-t", "test/ready", "-F", "%t %p"])
            .stdout(fs::File::create(&file).unwrap())
            .spawn()
            .unwrap();
        let reader = Reader { program, file };
        // Subscribed when its own message comes back; it is sent again until then.
        wait_for("the reader", || {
            let sent = self
                .client("mosquitto_pub")
                .args(["-t", "test/ready", "-m", "ready"])
                .status();
            sent.unwrap().success() && !reader.of("test/ready").is_empty()
        });
        reader
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// mosquitto's own client.
pub struct Reader {
    program: Child,
    file: PathBuf,
}

impl Reader {
    /// The messages of a topic so far.
    pub fn of(&self, topic: &str) -> Vec<String> {
        let text = fs::read_to_string(&self.file).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        assert!(
            !whole.contains("\n\n"),
            "a message ends with a line of its own"
        );
        let messages = whole.lines().filter_map(|line| line.split_once(' '));
        messages
            .filter(|(of, _)| *of == topic)
            .map(|(_, message)| message.to_owned())
            .collect()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
