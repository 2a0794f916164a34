//! Buckets on other services: rclone's, which checks each signature, and moto, which looks at none. They come from
//! `make test-stores`.

use tillstick::error::Kind;

use crate::contract::{Subject, config_of, holds, noise, open, opened, put};
use crate::s3::{Bucket, put_here, the_first_one_wins};
use crate::servers::Service;
use crate::verbs::life;

#[test]
#[ignore = "make test-stores"]
fn the_contract_holds_on_rclone() {
    let rclone = Service::rclone();
    holds(&Bucket::on(&rclone));
}

#[test]
#[ignore = "make test-stores"]
fn the_verbs_work_on_rclone() {
    let rclone = Service::rclone();
    life(&Bucket::on(&rclone));
}

#[test]
#[ignore = "make test-stores"]
fn rclone_takes_nothing_with_a_wrong_signature() {
    let rclone = Service::rclone();
    let bucket = Bucket::on(&rclone);
    put(opened(&bucket).as_mut(), "4711/b/x", &noise(70_000, 3));
    bucket.is_told("SKWRONG");
    let mut store = open(&config_of(&bucket.table())).unwrap();
    let error = put_here(store.as_mut(), "4711/b/y", &noise(70_000, 3)).unwrap_err();
    assert!(error.kind() == Kind::Refused && error.report().contains("403"), "{}", error.report());
}

/// A smoke test.
#[test]
#[ignore = "make test-stores"]
fn the_contract_holds_on_moto() {
    let moto = Service::moto();
    holds(&Bucket::on(&moto));
    the_first_one_wins(&Bucket::on(&moto));
}
