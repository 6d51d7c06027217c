//! Every script of `pipelines/` runs to its end on the test source, and leaves what it promises.

mod common;

use std::{fs, path::Path, process::Command, time::Duration};

use common::{command, root, run_well, text};

/// Frames of each camera: enough for people to appear and be confirmed.
const FRAMES: &str = "60";
const LIMIT: Duration = Duration::from_secs(180);

fn script(name: &str) -> Command {
    let mut script = command(root().join("pipelines").join(name));
    script.env("FRAMES", FRAMES).env("SINK", "fakesink");
    script
}

fn in_folder(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// Frames of video in a file, counted by decoding it.
fn frames_in(file: &str) -> u64 {
    // Scaled to 16x16 grey: 256 bytes a frame.
    let mut scaled = command("gst-launch-1.0");
    scaled.args([
        "-q",
        "filesrc",
        &format!("location={file}"),
        "!",
        "decodebin",
        "!",
        "videoconvert",
        "!",
        "videoscale",
        "!",
    ]);
    scaled.args(["video/x-raw,format=GRAY8,width=16,height=16", "!", "fdsink"]);
    run_well(scaled, LIMIT).stdout.len() as u64 / 256
}

#[test]
fn one_camera_to_the_screen() {
    run_well(script("one-camera.sh"), LIMIT);
}

#[test]
fn one_camera_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (video, lines) = (
        in_folder(folder.path(), "a.mp4"),
        in_folder(folder.path(), "a.jsonl"),
    );
    let mut script = script("record.sh");
    script.args(["", &video, &lines]);
    run_well(script, LIMIT);
    assert_eq!(frames_in(&video), 60);
    let lines = fs::read_to_string(lines).unwrap();
    assert!(
        lines.lines().count() > 0 && lines.contains("\"global_id\""),
        "nobody was seen:\n{lines}"
    );
}

#[test]
fn one_camera_in_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let (original, annotated) = (
        in_folder(folder.path(), "o.mp4"),
        in_folder(folder.path(), "a.mp4"),
    );
    let mut script = script("record-both.sh");
    script.args(["", &original, &annotated]);
    run_well(script, LIMIT);
    assert_eq!((frames_in(&original), frames_in(&annotated)), (60, 60));
}

#[test]
fn two_cameras_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let video = in_folder(folder.path(), "two.mp4");
    let mut script = script("two-cameras.sh");
    script.args(["", "", &video]);
    run_well(script, LIMIT);
    assert!(frames_in(&video) >= 60);
    for camera in ["cam0.jsonl", "cam1.jsonl"] {
        let lines = fs::read_to_string(folder.path().join(camera)).unwrap();
        assert!(lines.contains("\"global_id\""), "{camera} saw nobody");
    }
}

#[test]
fn four_cameras_in_a_mosaic() {
    let folder = tempfile::tempdir().unwrap();
    let video = in_folder(folder.path(), "four.mp4");
    let mut script = script("four-cameras.sh");
    script.args(["", "", "", "", &video]);
    run_well(script, LIMIT);
    assert!(frames_in(&video) >= 60);
}

/// A file of the test source with this chroma and depth, as phones, drones and cameras record them.
fn recorded_in(format: &str, file: &str) {
    let mut source = command("gst-launch-1.0");
    source.args(["-q", "reidtestsrc", "num-buffers=20", "attach=none", "!"]);
    source.args(["video/x-raw,format=I420,width=640,height=480", "!"]);
    source.args(["videoconvert", "!", &format!("video/x-raw,format={format}")]);
    source.args(["!", "x264enc", "speed-preset=ultrafast", "!", "h264parse"]);
    source.args(["!", "qtmux", "!", "filesink", &format!("location={file}")]);
    run_well(source, LIMIT);
}

#[test]
fn files_of_ten_bits_and_of_full_chroma_play_without_a_converter() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["I420_10LE", "Y42B", "I422_10LE", "Y444", "Y444_10LE"] {
        let (video, lines) = (
            in_folder(folder.path(), "a.mp4"),
            in_folder(folder.path(), "a.jsonl"),
        );
        recorded_in(format, &video);
        let mut script = command("gst-launch-1.0");
        let launch = format!(
            "-q filesrc location={video} ! decodebin ! queue ! yolodetect ! queue ! reidembed ! queue \
             ! reidtrack gallery=lobby ! reidpublish location={lines} ! reidoverlay ! videoconvert ! fakesink"
        );
        script.args(launch.split_whitespace());
        run_well(script, LIMIT);
        let lines = fs::read_to_string(lines).unwrap();
        assert!(
            lines.contains("\"global_id\":1"),
            "{format}: nobody was seen:\n{lines}"
        );
    }
}

/// The frames of a pipeline whose labels say `label`, for a user who has installed `fonts`.
fn labelled(label: &str, fonts: Option<&str>) -> Vec<u8> {
    let home = tempfile::tempdir().unwrap();
    // Where fontconfig and, without it, the overlay itself look.
    for folder in [".fonts", ".local/share/fonts"] {
        let folder = home.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        if let Some(font) = fonts {
            fs::copy(root().join(font), folder.join("font.ttf")).unwrap();
        }
    }
    let file = in_folder(home.path(), "frames");
    let mut script = command("gst-launch-1.0");
    script
        .env("HOME", home.path())
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_CONFIG_HOME");
    script.args([
        "-q",
        "reidtestsrc",
        "num-buffers=10",
        "attach=detections",
        "!",
    ]);
    script.args(["video/x-raw,format=I420,width=320,height=240", "!", "queue"]);
    script.args(["!", "reidtrack", "!", "queue", "!", "reidoverlay"]);
    script.args([&format!("label-format={label}"), "font-size=24"]);
    script.args(["!", "filesink", &format!("location={file}")]);
    run_well(script, LIMIT);
    fs::read(file).unwrap()
}

#[test]
fn labels_take_the_letters_of_installed_fonts() {
    const FONT: &str = "tests/fixtures/fonts/tiny.ttf";
    // Of a private plane: no other font has it.
    let (with, without) = (
        labelled("\u{100000}{id}", Some(FONT)),
        labelled("\u{100000}{id}", None),
    );
    // Not printed: they are pictures.
    assert!(with != without, "the font's letter is not drawn");
    assert!(
        without == labelled("\u{100000}{id}", None),
        "the same every time"
    );
}

#[test]
fn a_network_camera() {
    let mut script = script("rtsp.sh");
    script.env("PORT", "18554");
    run_well(script, LIMIT);
}

#[test]
fn a_webcam_or_its_stand_in() {
    run_well(script("webcam.sh"), LIMIT);
}

#[test]
fn a_missing_file_is_said() {
    let mut script = script("one-camera.sh");
    script.arg("no-such-file.mp4");
    let output = common::run(script, LIMIT);
    assert!(!output.status.success());
    assert!(
        text(&output).contains("no-such-file.mp4 is not a readable file"),
        "{}",
        text(&output)
    );
}

#[test]
fn embedding_in_python_and_rust_prints_identities() {
    let python = run_well(script("identities.py"), LIMIT);
    assert!(text(&python).contains("P1 at "), "{}", text(&python));
    let rust = run_well(
        command(common::build_folder().join("examples/identities")),
        LIMIT,
    );
    assert!(text(&rust).contains("P1 at "), "{}", text(&rust));
}

/// What the readers of people in three languages print of the same short film: regions, news, and with GStreamer 1.24 analytics.
fn check_reader(mut reader: Command) {
    reader.arg(
        "reidtestsrc pattern=crossing people=2 num-buffers=40 attach=detections ! video/x-raw,width=640,height=480 \
         ! queue ! reidembed ! queue ! reidtrack gallery=lobby camera=door add-embeddings=true ! fakesink name=end",
    );
    let shown = format!("{reader:?}");
    let output = run_well(reader, LIMIT);
    let printed = text(&output);
    let lines = |start: &str| printed.lines().filter(|l| l.starts_with(start)).count();
    assert!(lines("region ") > 20, "{shown}: {printed}");
    let expected = [
        " id 1 name P1 camera door at ",
        " vector of 512 numbers, length 1.00",
        "message reid-identity-new,",
    ];
    for part in expected {
        assert!(printed.contains(part), "{shown}: {part} in {printed}");
    }
    // Python reads analytics metas only with the introspection data.
    let has_analytics = cfg!(feature = "v1_24") && !shown.contains(".py");
    assert_eq!(
        lines("analytics id ") > 20,
        has_analytics,
        "{shown}: {printed}"
    );
}

/// What pkg-config says of a library, or nothing.
fn flags(libraries: &[&str]) -> Option<Vec<String>> {
    let mut command = Command::new("pkg-config");
    let output = command
        .args(["--cflags", "--libs"])
        .args(libraries)
        .output()
        .ok()?;
    let flags = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| flags.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn a_c_program_reads_people_without_a_header_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("read_people");
    let mut gcc = Command::new("gcc");
    gcc.current_dir(root())
        .args(["-Wall", "-Werror", "-o"])
        .arg(&program);
    gcc.arg("examples/read_people.c")
        .args(flags(&["gstreamer-video-1.0"]).unwrap());
    if cfg!(feature = "v1_24") {
        gcc.arg("-DWITH_ANALYTICS")
            .args(flags(&["gstreamer-analytics-1.0"]).unwrap());
    }
    run_well(gcc, LIMIT);
    check_reader(command(program));
}

#[test]
fn python_and_rust_programs_read_people_without_a_line_of_ours() {
    check_reader(script("read_people.py"));
    check_reader(command(common::build_folder().join("examples/read_people")));
}
