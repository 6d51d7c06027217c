//! Find by picture on the page: who it finds, what it refuses, and that a slow sender stops nobody.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    page::{as_described, people, running, until},
    program::{Answer, Program, ask_with, cameras_file, get, test_camera},
};

const JPEG: &str = "Content-Type: image/jpeg";
const BOUNDARY: &str = "Content-Type: multipart/form-data; boundary=photo-ends-here";

/// As a browser sends a form with one file.
fn form(photo: &[u8]) -> Vec<u8> {
    let head = "--photo-ends-here\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\n\
                Content-Type: image/jpeg\r\n\r\n";
    [head.as_bytes(), photo, b"\r\n--photo-ends-here--\r\n"].concat()
}

fn find(port: u16, photo: &[u8]) -> Answer {
    ask_with(port, "POST /api/find", &[JPEG], photo)
}

/// Somebody's picture, once several people are known.
fn somebody(port: u16) -> (u64, Vec<u8>) {
    until("three people with a picture", || {
        let ids = people(port).into_iter().map(|p| p["id"].as_u64().unwrap());
        let kept = ids.filter_map(|id| {
            let answer = get(port, &format!("/api/people/{id}/picture"));
            (answer.status == 200).then_some((id, answer.body))
        });
        let mut kept: Vec<_> = kept.collect();
        (kept.len() > 2).then(|| kept.swap_remove(0))
    })
}

#[test]
fn a_photo_finds_its_person() {
    let (_folder, program, port) = running(&[]);
    let (id, photo) = somebody(port);
    let answer = find(port, &photo);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = answer.json();
    as_described("/api/find", "post", 200, &found);
    assert_eq!(found["people"][0]["id"], id, "{found:#}");
    let number = |i: usize, key: &str| found["people"][i][key].as_f64().unwrap();
    assert!(number(0, "cosine") > number(1, "cosine"));
    assert!(number(0, "same_person") > 0.8 && number(0, "probability") > number(1, "probability"));
    for word in ["embedding", "vector"] {
        assert!(!answer.text().contains(word), "{word}");
    }
    let own = format!("Origin: http://127.0.0.1:{port}");
    let page = ask_with(port, "POST /find", &[BOUNDARY, &own], &form(&photo));
    assert_eq!(page.status, 200, "{}", page.text());
    let link = format!("href=\"/people/{id}\"");
    assert!(page.text().contains(&link) && page.text().contains("Nobody of them"));
    program.signal("TERM");
    program.end();
}

#[test]
fn other_photos_are_refused_with_a_remedy() {
    let (_folder, program, port) = running(&[]);
    let (_, photo) = somebody(port);
    let large = vec![0xff; (10 << 20) + 100_000];
    let cases: [(&[u8], u16, &str); 4] = [
        (b"no picture at all", 400, ".jpg"),
        (&photo[..photo.len() / 3], 400, "damaged"),
        (b"", 400, "choose a picture"),
        (&large, 413, "crop it"),
    ];
    for (bytes, status, remedy) in cases {
        let answer = find(port, bytes);
        // Of a photo that is too large the connection may end before all of it is sent.
        let is_cut = status == 413 && answer.status == 0;
        assert!(
            is_cut || answer.status == status,
            "{}: {}",
            answer.status,
            answer.text()
        );
        assert!(
            is_cut || answer.text().contains(remedy),
            "{}",
            answer.text()
        );
        let page = ask_with(port, "POST /find", &[BOUNDARY], &form(bytes));
        assert!(matches!(page.status, 0 | 400 | 413), "{}", page.status);
        let is_cut = page.status == 0;
        assert!(is_cut || page.text().contains(remedy), "{}", page.text());
    }
    // A picture that is small as a file and large in memory.
    let bomb = png_head(60_000, 60_000);
    let answer = find(port, &bomb);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("25 million"), "{}", answer.text());
    for foreign in ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"] {
        for (path, kind, body) in [
            ("POST /find", BOUNDARY, form(&photo)),
            ("POST /api/find", JPEG, photo.clone()),
        ] {
            assert_eq!(ask_with(port, path, &[kind, foreign], &body).status, 403);
        }
    }
    program.signal("TERM");
    program.end();
}

/// The beginning of a PNG of this size.
fn png_head(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut sum = flate2::Crc::new();
    sum.update(&chunk);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(chunk);
    png.extend(sum.sum().to_be_bytes());
    // The decoder reads on to the first chunk of pixels.
    png.extend([0, 0, 0, 0]);
    png.extend(b"IDAT");
    png.extend(0x35af_061e_u32.to_be_bytes());
    png
}

#[test]
fn a_slow_sender_stops_neither_cameras_nor_others() {
    let (_folder, mut program, port) = running(&[]);
    let (_, photo) = somebody(port);
    // Half a photo each, and nothing more; they take every place.
    let slow: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let head = format!(
                "POST /api/find HTTP/1.1\r\nHost: localhost\r\n{JPEG}\r\nContent-Length: {}\r\n\r\n",
                photo.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&photo[..photo.len() / 2]).unwrap();
            stream
        })
        .collect();
    let before = program.status("door").unwrap()["frames"].as_u64();
    assert_eq!(get(port, "/people").status, 200);
    program.wait_for("more frames", |value| {
        let cameras = value["cameras"].as_array().into_iter().flatten();
        let mut door = cameras.filter(|c| c["name"] == "door");
        door.any(|c| c["frames"].as_u64() > before.map(|n| n + 20))
    });
    let start = Instant::now();
    let found = until("an answer", || {
        let answer = find(port, &photo);
        (answer.status == 200).then(|| answer.json())
    });
    assert!(found["people"][0]["id"].is_u64());
    assert!(
        start.elapsed() < Duration::from_secs(50),
        "{:?}",
        start.elapsed()
    );
    for mut stream in slow {
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 504"), "{text}");
    }
    program.signal("TERM");
    program.end();
}

#[test]
fn without_an_embedder_the_page_says_why_nobody_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = cameras_file(folder.path(), &[test_camera("door", 0)], json!({}));
    let mut program = Program::start(&file, &["--listen", "127.0.0.1:0"]);
    let port = program.port();
    let answer = find(port, b"a photo");
    let error: Value = answer.json();
    assert_eq!(answer.status, 409, "{error}");
    assert!(
        error["error"].as_str().unwrap().contains("models.embedder"),
        "{error}"
    );
    assert_eq!(get(port, "/find").status, 200);
    program.signal("TERM");
    program.end();
}
