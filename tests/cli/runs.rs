//! What runs had to say: kept on the box, put into a store, posted; and pings. Whoever is pinged and posted to is a plain
//! listener of this test: no service of that kind is at hand. HTTPS and its certificates are those of the stores.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::kit::{Box, names, tool};

/// What was asked of a listener: the path, the headers, the body.
type Asked = (String, String, Vec<u8>);

/// Answers everybody with this status.
fn listener(status: &'static str) -> (String, Receiver<Asked>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (place, (sender, asked)) = (socket.local_addr().unwrap(), channel());
    thread::spawn(move || {
        for stream in socket.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap() > 0 {}
            let length =
                head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            stream.read_exact(&mut body).unwrap();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            sender.send((path, head.to_lowercase(), body)).unwrap();
        }
    });
    (format!("http://{place}"), asked)
}

fn secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    String::from_utf8(bytes.to_vec()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

/// The files of runs, oldest first.
fn runs(site: &Box) -> Vec<String> {
    let mut all = names(&site.path("state/runs"));
    all.sort();
    all
}

/// As if a day had gone by since runs were told of.
fn a_day_later(site: &Box) {
    fs::write(site.path("state/runs-told"), "2026-01-01T00:00:00Z\n").unwrap();
}

#[test]
fn what_runs_had_to_say_goes_to_a_store_without_secrets() {
    let site = Box::new();
    let away = site.path("away");
    fs::create_dir_all(&away).unwrap();
    let table = |quiesce: &str| {
        let store = format!("[stores.away]\ntype = \"directory\"\npath = {away:?}\n");
        site.configure("", &format!("[log]\nupload = \"away\"\n{store}[quiesce]\n{quiesce}\n"));
    };
    table("");
    site.run(&["store", "init", "away", "--same-disk"]).exits(0);
    let id = site.backup();
    let there = || names(&away.join("logs/004711/kasse-1"));
    let told = there();
    assert!(told.len() == 1 && told[0].ends_with("-backup.jsonl.gz"), "{told:?}");
    let path = away.join("logs/004711/kasse-1").join(&told[0]);
    let said = lines(tool("gunzip", &["-c", path.to_str().unwrap()]).as_bytes());
    assert_eq!((&said[0]["run"]["kind"], &said[0]["run"]["box"]), (&"backup".into(), &"kasse-1".into()));
    let last = said.last().unwrap();
    assert_eq!((&last["outcome"], &last["backup"]), (&"done".into(), &id.as_str().into()));
    assert!(said.iter().any(|line| line["text"].as_str().unwrap().starts_with("Dump of ")), "{said:?}");

    // A moment later nobody is bothered again; the last words of a run that failed go with the next.
    table("before = [[\"/bin/sh\", \"-c\", \"echo password=geheim >&2; exit 1\"]]");
    site.run(&["backup"]).exits(1);
    assert_eq!(there(), told);
    assert!(runs(&site).last().unwrap().ends_with(".jsonl"));
    a_day_later(&site);
    table("");
    site.run(&["check"]).exits(0);
    let now = there();
    assert_eq!(now.len(), 3, "{now:?}");
    let all = now.iter().map(|name| unpacked(&fs::read(away.join("logs/004711/kasse-1").join(name)).unwrap()));
    let failed: Vec<Vec<u8>> = all.filter(|said| lines(said).last().unwrap()["outcome"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    let text = String::from_utf8(failed[0].clone()).unwrap();
    assert!(!text.contains("geheim") && text.contains("password=***"), "{text}");
    assert!(runs(&site).iter().all(|name| name.ends_with(".told")), "{:?}", runs(&site));

    // While the store gets nothing, nothing counts as told.
    a_day_later(&site);
    let text = fs::read_to_string(site.config()).unwrap();
    let off = text.replace("[stores.away]\n", "[stores.away]\nenabled = false\n");
    fs::write(site.config(), off).unwrap();
    site.run(&["check"]).exits(0);
    assert!(runs(&site).last().unwrap().ends_with(".jsonl"), "{:?}", runs(&site));
    fs::write(site.config(), text).unwrap();

    site.run(&["list", "--store", "away"]).exits(0);
    site.run(&["store", "purge", "--customer", "004711", "--yes"]).exits(0);
    assert!(!away.join("logs/004711").join("kasse-1").join(&now[0]).exists());
}

#[test]
fn a_run_that_was_killed_is_told_as_dead_and_only_so_many_are_kept() {
    let site = Box::new();
    let (url, asked) = listener("200");
    secret(&site.path("post.url"), &format!("{url}/logs?token=geheim\n"));
    let log = format!("[log]\nruns = 3\npost_file = {:?}\n", site.path("post.url"));
    site.configure("", &format!("{log}[quiesce]\nbefore = [[\"/bin/sleep\", \"100\"]]\n"));
    let mut child = site.start(&["backup"]);
    let end = Instant::now() + Duration::from_secs(60);
    while names(&site.path("state")).iter().all(|name| name != "runs") || runs(&site).is_empty() {
        assert!(Instant::now() < end, "it did not begin");
        sleep(Duration::from_millis(10));
    }
    site.configure("", &log);
    // Whoever still runs is not spoken for.
    site.run(&["check"]).exits(0);
    let (path, head, body) = asked.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(path == "/logs?token=geheim" && head.contains("content-encoding: gzip"), "{path} {head}");
    assert!(lines(&unpacked(&body)).iter().all(|line| line["text"] != "backup begins"));
    child.kill().unwrap();
    child.wait().unwrap();
    a_day_later(&site);
    site.run(&["check"]).exits(0);
    let said = lines(&unpacked(&asked.recv_timeout(Duration::from_secs(20)).unwrap().2));
    let died: Vec<&Value> = said.iter().filter(|line| line["outcome"] == "died").collect();
    assert_eq!(died.len(), 1, "{said:?}");
    assert!(said.iter().any(|line| line["text"] == "backup begins"));
    for _ in 0..4 {
        site.run(&["check"]).exits(0);
    }
    assert_eq!(runs(&site).len(), 3, "{:?}", runs(&site));
}

#[test]
fn a_url_is_pinged_when_a_backup_begins_is_made_and_fails() {
    let site = Box::new();
    let (url, asked) = listener("200");
    secret(&site.path("ping.url"), &format!("{url}/0815-geheim\n"));
    let log = format!("[log]\nping_file = {:?}\n", site.path("ping.url"));
    site.configure("", &log);
    let id = site.backup();
    let next =
        || asked.recv_timeout(Duration::from_secs(20)).map(|(path, _, body)| (path, String::from_utf8(body).unwrap()));
    assert_eq!(next().unwrap().0, "/0815-geheim/start");
    assert_eq!(next().unwrap(), ("/0815-geheim".to_owned(), format!("backup {id} done\n")));
    fs::remove_file(site.database()).unwrap();
    site.run(&["backup"]).exits(1);
    assert_eq!(next().unwrap().0, "/0815-geheim/start");
    let (path, body) = next().unwrap();
    assert!(path == "/0815-geheim/fail" && body.contains("kasse.db"), "{path} {body}");
    // Nothing else is told, and nothing in mode X.
    site.run(&["check"]).exits(0);
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), format!("mode = \"X\"\n{text}")).unwrap();
    site.run(&["backup"]).exits(1);
    assert!(asked.try_recv().is_err());
}

#[test]
fn a_ping_that_fails_is_a_warning_that_tells_no_secret() {
    for status in ["404", ""] {
        let site = Box::new();
        let (url, _asked) = listener("404");
        // Nobody listens at the port 9.
        let url = if status.is_empty() { "http://127.0.0.1:9".to_owned() } else { url };
        secret(&site.path("ping.url"), &format!("{url}/0815-geheim\n"));
        site.configure("", &format!("[log]\nping_file = {:?}\n", site.path("ping.url")));
        let ran = site.run(&["backup"]).exits(0).says(&["the ping was not sent", "127.0.0.1"]);
        assert!(!ran.err.contains("geheim"), "{}", ran.err);
        // One that others may read is not used.
        fs::set_permissions(site.path("ping.url"), fs::Permissions::from_mode(0o644)).unwrap();
        site.run(&["backup"]).exits(0).says(&["the ping was not sent", "chmod 600"]);
    }
}
