//! Whose stick it is: `TILLSTICK/stick.json`, hostile or not.

use tillstick::policy::stick::{Reason, StickRules, VerdictKind, judge};

use crate::kit::Image;

const OUR_ID: &str = "00112233445566778899aabbccddeeff";
const OTHER_ID: &str = "ffeeddccbbaa99887766554433221100";

fn note(customer: &str, name: &str, id: &str) -> String {
    format!(
        r#"{{"format":1,"customer":"{customer}","box":"{name}","box_id":"{id}","made":"2026-11-22T20:00:02Z","x":[1]}}"#
    )
}

fn stick(note: &[u8]) -> Image {
    let image = Image::fat32();
    image.mkdir(0, "TILLSTICK");
    image.mkdir(0, "TILLSTICK/kasse-1");
    image.mkdir(0, "TILLSTICK/Kasse im Garten");
    image.put(0, "TILLSTICK/README.txt", b"hello");
    image.put(0, "TILLSTICK/stick.json", note);
    image
}

fn rules() -> StickRules {
    StickRules {
        customer: Some("104711".parse().unwrap()),
        box_name: Some("kasse-1".parse().unwrap()),
        box_id: Some(OUR_ID.into()),
        ..StickRules::default()
    }
}

#[test]
fn only_our_customers_sticks_and_not_our_names_double_are_written_to() {
    let usable = VerdictKind::Usable { volume: 0 };
    let other_customer = VerdictKind::Refused(Reason::OtherCustomer {
        customer: "004711".parse().unwrap(),
        box_name: "kasse-1".parse().unwrap(),
    });
    let other_box =
        VerdictKind::Refused(Reason::OtherBox { box_name: "KASSE-1".parse().unwrap(), box_id: OTHER_ID.into() });
    let cases = [
        (note("104711", "kasse-1", OUR_ID), usable.clone()),
        (note("104711", "kasse-2", OTHER_ID), usable.clone()),
        (note("004711", "kasse-1", OUR_ID), other_customer),
        (note("104711", "KASSE-1", OTHER_ID), other_box),
    ];
    for (note, expected) in cases {
        let facts = stick(note.as_bytes()).facts();
        assert_eq!(judge(&facts, &rules()).kind, expected, "{note}");
        let adopt = StickRules { allow_foreign: true, ..rules() };
        assert_eq!(judge(&facts, &adopt).kind, usable, "{note}");
    }
}

#[test]
fn the_note_and_the_boxes_are_read() {
    let volume = stick(note("104711", "kasse-2", OTHER_ID).as_bytes()).volume();
    let owner = volume.owner.unwrap();
    assert_eq!((owner.box_name.as_str(), owner.box_id.as_str()), ("kasse-2", OTHER_ID));
    assert_eq!(owner.made.unwrap().to_string(), "2026-11-22T20:00:02Z");
    let mut boxes = volume.boxes;
    boxes.sort();
    assert_eq!(boxes, ["Kasse im Garten", "kasse-1"]);
}

#[test]
fn a_broken_note_is_a_remark_and_no_owner() {
    let deep = "[".repeat(60_000);
    let long = note("104711", "kasse-1", OUR_ID) + &" ".repeat(70_000);
    let cases = [
        String::new(),
        "{".into(),
        "null".into(),
        deep,
        long,
        note("../../etc", "kasse-1", OUR_ID),
        note("104711", "a\\u001b[31m", OUR_ID),
        note("104711", "kasse-1", "zz"),
        r#"{"customer":"1"}"#.into(),
    ];
    for note in cases {
        let facts = stick(note.as_bytes()).facts();
        let head: String = note.chars().take(60).collect();
        assert_eq!(facts.volumes[0].owner, None, "{head}");
        let why = facts.volumes[0].owner_problem.as_deref().unwrap_or_default();
        assert!(!why.is_empty() && why.len() < 300 && !why.contains('\u{1b}'), "{head}: {why:?}");
        let verdict = judge(&facts, &rules());
        assert!(verdict.volume().is_ok() && verdict.notes.len() == 2, "{head}: {verdict:?}");
    }
}
