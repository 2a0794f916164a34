//! Buckets whose name is a part of the host (`path_style = false`). That name is known here in a mount namespace of the test's
//! own, by a file in the place of `/etc/hosts`.

use std::fs;

use crate::contract::{Subject, names, opened};
use crate::kit::{Box, receipts};
use crate::mounted;
use crate::s3::Bucket;
use crate::servers::CEPH;

#[test]
#[ignore = "make test-stores"]
fn the_bucket_may_be_a_part_of_the_host() {
    let Some(space) = mounted::space() else { return };
    let (site, bucket) = (Box::new(), Bucket::ceph());
    let by_path = bucket.table();
    let name = by_path.lines().find_map(|line| line.strip_prefix("bucket = ")).unwrap().trim_matches('"').to_owned();
    let by_host = by_path.replace("127.0.0.1", "localhost");
    site.configure("", &format!("[stores.away]\n{by_host}\npath_style = false\n"));
    let hosts = site.path("hosts");
    fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    space.tool("mount", &["--bind", hosts.to_str().unwrap(), "/etc/hosts"]);
    // The host's name has the bucket's, which nobody knows yet.
    let told = space.run(&site, &["store", "test", "away"]).exits(1);
    assert!(told.out.contains("FAILED"), "{}", told.out);
    // Written into the very file that is mounted.
    fs::write(&hosts, format!("127.0.0.1 localhost {name}.localhost\n")).unwrap();
    space.run(&site, &["store", "test", "away"]).exits(0).prints(&["good    write", "good    delete"]);
    space.run(&site, &["backup"]).exits(0).prints(&["Database sent! away"]);
    let id = site.ids().pop().unwrap();
    space.run(&site, &["list", "--store", "away"]).exits(0).prints(&[&id]);
    space.run(&site, &["check", "--store", "away", "--read"]).exits(0).prints(&["good"]);
    let back = site.path("back.db");
    space.run(&site, &["restore", &id, "--store", "away", "--into", back.to_str().unwrap()]).exits(0);
    assert_eq!(receipts(&back), receipts(&site.database()));
    // It is the bucket of this name, whichever way it is asked for.
    let mut store = opened(&bucket);
    assert_eq!(names(store.as_mut(), "004711/kasse-1"), [id.as_str(), "box.json"], "{}", CEPH.at);
}
