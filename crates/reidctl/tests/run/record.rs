//! What is recorded and published: streams as received, the mosaic, messages to a broker.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    broker::{Broker, PASSWORD, USER},
    common::{command, reidctl, run, run_well, text},
    program::{Program, cameras_file, test_camera},
};

const LIMIT: Duration = Duration::from_secs(90);

fn files(folder: &Path, part: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().contains(part))
        .collect();
    files.sort();
    files
}

fn launch(line: &str) {
    let mut gst = command("gst-launch-1.0");
    gst.args(["-q", "-e"]).args(line.split(' '));
    run_well(gst, LIMIT);
}

/// A short film, H.264 with a key frame each 10.
fn film(folder: &Path) -> PathBuf {
    let film = folder.join("film.mp4");
    launch(&format!(
        "reidtestsrc num-buffers=45 ! video/x-raw,width=320,height=240,framerate=15/1 ! videoconvert ! x264enc tune=zerolatency key-int-max=10 ! h264parse ! mp4mux ! filesink location={}",
        film.display()
    ));
    film
}

/// The encoded pictures of a file: the slices of H.264, without the headers that each container puts in front.
fn slices(file: &Path) -> Vec<Vec<u8>> {
    let demuxer = match file.extension().unwrap() == "mkv" {
        true => "matroskademux",
        false => "qtdemux",
    };
    let raw = file.with_extension("h264");
    launch(&format!(
        "filesrc location={} ! {demuxer} ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au ! filesink location={}",
        file.display(),
        raw.display()
    ));
    let bytes = fs::read(raw).unwrap();
    let mut units: Vec<Vec<u8>> = Vec::new();
    let mut at = 0;
    while at + 3 < bytes.len() {
        if bytes[at..at + 3] == [0, 0, 1] {
            units.push(Vec::new());
            at += 3;
            continue;
        }
        if let Some(unit) = units.last_mut() {
            unit.push(bytes[at]);
        }
        at += 1;
    }
    if let Some(unit) = units.last_mut() {
        unit.extend(&bytes[at..]);
    }
    // A start code may have a zero more in front of it.
    for unit in &mut units {
        let length = unit
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        unit.truncate(length);
    }
    units.retain(|unit| {
        unit.first()
            .is_some_and(|first| matches!(first & 31, 1 | 5))
    });
    units
}

/// The pictures of a file, decoded: I420 of `width` x `height`.
fn pictures(file: &Path, width: usize, height: usize) -> Vec<Vec<u8>> {
    let raw = file.with_extension("yuv");
    launch(&format!(
        "filesrc location={} ! decodebin ! videoconvert ! video/x-raw,format=I420,width={width},height={height} ! filesink location={}",
        file.display(),
        raw.display()
    ));
    let bytes = fs::read(raw).unwrap();
    let size = width * height * 3 / 2;
    assert_eq!(bytes.len() % size, 0);
    bytes.chunks(size).map(<[u8]>::to_vec).collect()
}

/// Serves one file to all who ask.
fn serve(file: &Path) -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/film.mp4", server.local_addr().unwrap());
    let bytes = fs::read(file).unwrap();
    let answer = move |mut stream: TcpStream| -> std::io::Result<()> {
        let mut range = 0;
        for line in BufReader::new(stream.try_clone()?).lines() {
            let line = line?.to_ascii_lowercase();
            if let Some(from) = line.strip_prefix("range: bytes=") {
                range = from.split('-').next().unwrap().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let status = match range {
            0 => "200 OK".to_owned(),
            from => format!(
                "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}",
                bytes.len() - 1,
                bytes.len()
            ),
        };
        let rest = &bytes[range..];
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\nConnection: close\r\n\r\n",
            rest.len()
        )?;
        stream.write_all(rest)
    };
    let answer = std::sync::Arc::new(answer);
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || drop(answer(stream)));
        }
    });
    address
}

#[test]
fn a_stream_is_recorded_as_it_came_beside_the_annotated_picture() {
    let folder = tempfile::tempdir().unwrap();
    let original = slices(&film(folder.path()));
    assert_eq!(original.len() % 45, 0, "45 pictures");
    let record =
        |name: &str| json!({ "record": { "folder": name, "what": "both", "segment-seconds": 1 } });
    let cameras = [
        json!({ "name": "film", "source": "film.mp4", "options": record("file") }),
        json!({ "name": "net", "source": serve(&folder.path().join("film.mp4")), "options": record("net") }),
    ];
    let file = cameras_file(folder.path(), &cameras, json!({}));
    let mut program = Program::start(&file, &[]);
    program.wait_for("the end of the file", |value| {
        value["camera"] == "film" && value["state"] == "ended"
    });
    program.wait_for("the end of the stream", |value| {
        value["camera"] == "net" && value["state"] == "waiting"
    });
    program.signal("TERM");
    program.end();
    for name in ["file", "net"] {
        let folder = folder.path().join(name);
        let all = files(&folder, "-received-");
        let first = all[0].to_string_lossy().into_owned();
        let run = first.split("-received-").next().unwrap();
        let received: Vec<_> = all
            .iter()
            .filter(|file| file.to_string_lossy().starts_with(run))
            .collect();
        assert!(received.len() >= 2, "{received:?}");
        let joined: Vec<Vec<u8>> = received.iter().flat_map(|file| slices(file)).collect();
        assert!(
            joined == original,
            "{name}: {} slices of {}",
            joined.len(),
            original.len()
        );
        let annotated = files(&folder, "00000.mp4");
        assert!(!pictures(&annotated[0], 320, 240).is_empty());
    }
}

/// A camera that sends JPEG pictures one after the other, ten a second, to all who ask.
fn jpeg_camera() -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/video", server.local_addr().unwrap());
    let send = |mut stream: TcpStream| -> std::io::Result<()> {
        let kind = "multipart/x-mixed-replace;boundary=frame";
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n")?;
        for number in 0_u8.. {
            let shade = |x, y| image::Rgb([x as u8, y as u8, number.wrapping_mul(9)]);
            let picture = image::RgbImage::from_fn(320, 240, shade);
            let mut jpeg = std::io::Cursor::new(Vec::new());
            picture
                .write_to(&mut jpeg, image::ImageFormat::Jpeg)
                .unwrap();
            let length = jpeg.get_ref().len();
            let head = format!("Content-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n");
            write!(stream, "--frame\r\n{head}")?;
            stream.write_all(jpeg.get_ref())?;
            stream.write_all(b"\r\n")?;
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Ok(())
    };
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            std::thread::spawn(move || drop(send(stream)));
        }
    });
    address
}

#[test]
fn a_camera_of_jpeg_pictures_over_http_is_recorded_and_in_the_mosaic() {
    let folder = tempfile::tempdir().unwrap();
    let record = |what: &str| json!({ "record": { "folder": what, "what": what } });
    let cameras = [
        json!({ "name": "one", "source": jpeg_camera(), "options": record("received") }),
        json!({ "name": "two", "source": jpeg_camera(), "options": record("annotated") }),
    ];
    let mosaic = json!({ "folder": "wall", "tile-width": 160, "tile-height": 120 });
    let others = json!({ "mosaic": mosaic, "restart": { "stall-seconds": 20 } });
    let file = cameras_file(folder.path(), &cameras, others);
    let mut program = Program::start(&file, &[]);
    program.wait_for("thirty pictures of each", |value| {
        let cameras = value["cameras"].as_array();
        cameras.is_some_and(|all| all.iter().all(|c| c["frames"].as_u64() >= Some(30)))
    });
    program.signal("TERM");
    program.end();
    let places = [
        ("received", "mkv", 240),
        ("annotated", "mp4", 240),
        ("wall", "mp4", 120),
    ];
    for (place, ending, height) in places {
        let films = files(&folder.path().join(place), ending);
        assert_eq!(films.len(), 1, "{place}: {films:?}");
        let count = pictures(&films[0], 320, height).len();
        assert!(count >= 20, "{place}: {count} pictures");
    }
}

#[test]
fn recordings_play_after_the_program_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut camera = test_camera("door", 0);
    camera["options"] = json!({ "record": { "folder": "films" } });
    let mosaic = json!({ "folder": "wall", "tile-width": 160, "tile-height": 120 });
    let file = cameras_file(folder.path(), &[camera], json!({ "mosaic": mosaic }));
    let mut program = Program::start(&file, &[]);
    program.wait_for("some seconds", |value| {
        let cameras = value["cameras"].as_array();
        cameras.is_some_and(|all| all.iter().any(|c| c["frames"].as_u64() >= Some(75)))
    });
    // By SIGKILL.
    drop(program);
    for (place, [width, height]) in [("films", [320, 240]), ("wall", [160, 120])] {
        let films = files(&folder.path().join(place), "mp4");
        let count = pictures(&films[0], width, height).len();
        assert!(count >= 15, "{place}: {count} pictures");
    }
}

/// Mean luma of a tile.
fn luma(picture: &[u8], width: usize, [x, y]: [usize; 2], [w, h]: [usize; 2]) -> f64 {
    let rows = (y..y + h).flat_map(|y| &picture[y * width + x..y * width + x + w]);
    rows.map(|luma| f64::from(*luma)).sum::<f64>() / (w * h) as f64
}

#[test]
fn the_mosaic_goes_on_while_cameras_fail() {
    let folder = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut short = test_camera("short", 1);
    short["source"]["test"]["num-buffers"] = 20.into();
    let cameras = [
        test_camera("door", 0),
        short,
        json!({ "name": "stuck", "source": format!("http://{}/", silent.local_addr().unwrap()) }),
    ];
    let mosaic =
        json!({ "folder": "wall", "tile-width": 160, "tile-height": 120, "segment-seconds": 2 });
    let file = cameras_file(folder.path(), &cameras, json!({ "mosaic": mosaic }));
    let mut program = Program::start(&file, &[]);
    program.wait_for("the recording", |value| {
        value["event"] == "mosaic" && value["state"] == "recording"
    });
    program.wait_for("restarts", |value| {
        let mut cameras = value["cameras"].as_array().into_iter().flatten();
        cameras.any(|c| c["name"] == "short" && c["restarts"].as_u64() >= Some(2))
    });
    program.signal("TERM");
    program.end();
    let films = files(&folder.path().join("wall"), "mosaic-");
    assert!(films.len() >= 2, "{films:?}");
    let mut count = 0;
    let mut last = Vec::new();
    for film in &films {
        let all = pictures(film, 320, 240);
        count += all.len();
        last = all.last().unwrap().clone();
    }
    // Ten pictures a second, whatever the cameras do: two restarts take four seconds and more.
    assert!(count > 30, "{count} pictures");
    let tile = |at| luma(&last, 320, at, [160, 120]);
    // 96 of 255 in the limited range: 16 + 96 * 219 / 255. The camera's name lies over a corner.
    let grey = |luma: f64| (luma - 98.0).abs() < 8.0;
    assert!(
        grey(luma(&last, 320, [20, 150], [120, 80])),
        "the stuck camera"
    );
    assert!(grey(tile([160, 120])), "the empty place");
    let spread = |at: [usize; 2]| {
        let values: Vec<f64> = (0..6)
            .map(|i| luma(&last, 320, [at[0] + 20 * i + 10, at[1] + 60], [10, 50]))
            .collect();
        let mean = values.iter().sum::<f64>() / 6.0;
        values.iter().map(|v| (v - mean).abs()).fold(0.0, f64::max)
    };
    assert!(spread([0, 0]) > 3.0, "the running camera shows something");
    assert!(
        spread([160, 0]) > 1.0,
        "the last picture of the one that ends stays"
    );
}

#[test]
fn people_are_published_to_a_broker_and_its_password_is_not_shown() {
    let Some(mut broker) = Broker::prepare() else {
        return;
    };
    broker.start();
    let reader = broker.reader("all");
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    fs::write(&secret, PASSWORD).unwrap();
    let mut camera = test_camera("front door", 0);
    camera["options"] = json!({ "publish": { "folder": "seen",
        "mqtt": format!("mqtt://{USER}@127.0.0.1:{}/reid", broker.port) } });
    let file = cameras_file(folder.path(), &[camera], json!({}));
    let mut program = Program::start_with(&file, &[], |command| {
        command.env("GST_REID_MQTT_PASSWORD_FILE", &secret);
    });
    crate::broker::wait_for("messages", || reader.of("reid/front_door").len() > 5);
    program.wait_for("frames", |value| value["event"] == "status");
    program.signal("TERM");
    program.end();
    let frames = reader.of("reid/front_door");
    let first: Value = serde_json::from_str(&frames[0]).unwrap();
    assert_eq!(first["objects"][0]["reid"]["camera"], "front door");
    assert!(
        !fs::read_to_string(&files(&folder.path().join("seen"), "jsonl")[0])
            .unwrap()
            .is_empty()
    );
    let written = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        written.replace(&format!("//{USER}@"), "//ada:hunter2@"),
    )
    .unwrap();
    let mut print = reidctl();
    print.args(["run", "--print"]).arg(&file);
    let printed = text(&run(print, LIMIT));
    assert!(
        printed.contains("mqtt://ada:…@127.0.0.1") && !printed.contains("hunter2"),
        "{printed}"
    );
}

#[test]
fn people_are_published_to_a_program_and_to_files_of_limited_length() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("lines.sock")).unwrap();
    let mut camera = test_camera("door", 0);
    camera["options"] = json!({ "publish": { "folder": "seen", "segment-seconds": 1, "max-files": 2, "socket": "lines.sock" } });
    let file = cameras_file(folder.path(), &[camera], json!({}));
    let program = Program::start(&file, &[]);
    let (stream, _) = listener.accept().unwrap();
    let lines = BufReader::new(stream).lines().take(80);
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let frames = lines.iter().filter(|line| line["objects"].is_array());
    assert!(frames.count() > 60);
    program.signal("TERM");
    program.end();
    let texts = files(&folder.path().join("seen"), ".jsonl");
    let names = texts.iter().map(|path| path.extension().unwrap());
    assert!(names.eq(["jsonl", "1", "2"]), "{texts:?}");
    for text in &texts[1..] {
        let count = fs::read_to_string(text).unwrap().lines().count();
        assert!((5..40).contains(&count), "{}: {count}", text.display());
    }
}

#[test]
fn a_window_wants_a_display_and_no_service() {
    let folder = tempfile::tempdir().unwrap();
    let file = cameras_file(folder.path(), &[test_camera("door", 0)], json!({}));
    let refused = |variables: &[(&str, &str)]| {
        let mut command = reidctl();
        command.args(["run", "--window"]).arg(&file);
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command.envs(variables.iter().copied());
        let output = run(command, LIMIT);
        assert!(!output.status.success());
        text(&output)
    };
    assert!(refused(&[]).contains("there is no display"));
    let said = refused(&[("DISPLAY", ":99"), ("NOTIFY_SOCKET", "/nowhere")]);
    assert!(said.contains("a service has no window"), "{said}");
}
