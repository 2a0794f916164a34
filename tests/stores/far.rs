//! Stores on servers, in the hands of the agent: lines that are down, stores that stall, are full or lie.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::contract::{Subject, opened};
use crate::directory::Folder;
use crate::kit::Box;
use crate::line::Proxy;
use crate::running::{Agent, BY_HAND, comes, configure};
use crate::s3::Bucket;
use crate::servers::CEPH;

fn store(site: &Box, name: &str) -> Value {
    let told = site.run(&["status", "--json"]).exits(0).json();
    let stores = told["stores"].as_array().unwrap().clone();
    stores.into_iter().find(|store| store["name"] == name).unwrap_or_else(|| panic!("{told}"))
}

fn problem(site: &Box, name: &str) -> String {
    store(site, name)["problem"].as_str().unwrap_or_default().to_owned()
}

#[test]
#[ignore = "make test-stores"]
fn what_a_server_that_is_down_has_not_got_waits_until_it_is_back() {
    let proxy = Proxy::to(CEPH.at);
    let bucket = Bucket::ceph().through(&proxy);
    let site = Box::large();
    configure(&site, &format!("{BY_HAND}[stores.away]\n{}\n", bucket.table()));
    proxy.down(true);
    let agent = Agent::start(&site);
    let ids = [site.backup(), site.backup()];
    assert!(comes(|| !problem(&site, "away").is_empty()), "{}", agent.log(&site));
    assert_eq!(store(&site, "away")["waiting"], 2);
    agent.signal(Signal::SIGKILL);
    agent.ends();
    // It comes back and goes away again in the middle.
    proxy.mend();
    proxy.cut_after(100_000);
    let agent = Agent::start(&site);
    assert!(comes(|| problem(&site, "away").contains("cannot reach")), "{}", agent.log(&site));
    drop(agent);
    proxy.mend();
    let agent = Agent::start(&site);
    assert!(comes(|| store(&site, "away")["waiting"] == 0), "{}", agent.log(&site));
    let listed = site.run(&["list", "--store", "away"]).exits(0).out;
    assert!(ids.iter().all(|id| listed.contains(id)), "{listed}");
    site.run(&["check", "--store", "away", "--read"]).exits(0);
}

#[test]
#[ignore = "make test-stores"]
fn stores_that_are_dead_stall_are_full_slow_or_lie_delay_no_other() {
    let (stalls, slow, dead) = (Proxy::to(CEPH.at), Proxy::to(CEPH.at), Proxy::to(CEPH.at));
    stalls.stall_after(20_000);
    slow.pace(2_000);
    dead.down(true);
    let (full, folder, liar) = (Bucket::ceph(), Folder::new(), Bucket::ceph().at(liar()));
    full.bound(1_000);
    let stores: [(&str, &dyn Subject); 7] = [
        ("dead", &Bucket::ceph().through(&dead)),
        ("folder", &folder),
        ("full", &full),
        ("good", &Bucket::ceph()),
        ("liar", &liar),
        ("slow", &Bucket::ceph().through(&slow)),
        ("stalls", &Bucket::ceph().impatient().through(&stalls)),
    ];
    let tables: String = stores.iter().map(|(name, store)| format!("[stores.{name}]\n{}\n", store.table())).collect();
    let site = Box::large();
    configure(&site, &format!("{BY_HAND}{tables}"));
    let agent = Agent::start(&site);
    let id = site.backup();
    let begun = Instant::now();
    for name in ["folder", "good"] {
        assert!(comes(|| store(&site, name)["newest"] == id.as_str()), "{name}: {}", agent.log(&site));
    }
    let took = begun.elapsed();
    for (name, word) in [
        ("dead", "cannot reach"),
        ("full", "no more room"),
        ("liar", "does not have what was sent"),
        ("stalls", "too long"),
    ] {
        assert!(
            comes(|| problem(&site, name).contains(word)),
            "{name}: {}\n{}",
            problem(&site, name),
            agent.log(&site)
        );
        assert_eq!(store(&site, name)["newest"], Value::Null, "{name}");
    }
    assert_eq!(store(&site, "slow")["waiting"], 1, "it is still at work");
    assert!(took < Duration::from_secs(10), "the good ones took {took:?}");
    let asked = Instant::now();
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.ends(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
}

#[test]
#[ignore = "make test-stores"]
fn in_mode_x_nothing_leaves_the_house() {
    let proxy = Proxy::to(CEPH.at);
    let (bucket, folder) = (Bucket::ceph().through(&proxy), Folder::new());
    let site = Box::new();
    let text = format!("[stores.away]\n{}\n[stores.here]\n{}\n", bucket.table(), folder.table());
    site.configure("", &text);
    let config = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), format!("mode = \"X\"\n{config}")).unwrap();
    let told = site.run(&["backup", "--json"]).exits(0).json();
    let copies: Vec<_> = told["copies"].as_array().unwrap().iter().map(|copy| copy["store"].clone()).collect();
    assert_eq!(copies, ["here"], "{told}");
    site.run(&["copy", "--to", "away"]).exits(1).says(&["the mode is \"X\""]);
    let agent_too = format!("mode = \"X\"\n{config}[agent]\nsocket = {:?}\n{BY_HAND}", crate::running::socket(&site));
    std::fs::write(site.config(), agent_too).unwrap();
    let agent = Agent::start(&site);
    let id = site.backup();
    assert!(comes(|| store(&site, "here")["newest"] == id.as_str()), "{}", agent.log(&site));
    assert_eq!(proxy.connections(), 0);
    assert!(opened(&bucket).list("").unwrap().is_empty());
}

/// A service that says yes to everything and keeps nothing.
fn liar() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || lie(&client));
        }
    });
    at
}

fn lie(mut client: &TcpStream) {
    loop {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            match client.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        std::io::copy(&mut client.take(length), &mut std::io::sink()).unwrap();
        let answer: &str = match head.split(' ').next() {
            Some("put") => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Some("get") if head.contains("list-type") => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<a/>",
            _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        };
        if client.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
