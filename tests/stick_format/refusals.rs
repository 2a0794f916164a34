//! What is never formatted, as a table of facts.

use tillstick::lang::Lang;
use tillstick::policy::format::{Refusal, may_format};
use tillstick::policy::stick::{
    DeviceFacts, FsKind, Look, Problem, Reason, RootEntry, StickFacts, StickNote, VolumeFacts,
};
use tillstick::policy::tse::TseRules;

fn stick() -> StickFacts {
    let device = DeviceFacts { size: 64 << 30, removable: Some(true), ..DeviceFacts::default() };
    let volume = VolumeFacts { kind: FsKind::ExFat, ..VolumeFacts::default() };
    StickFacts { device, look: Look::Done, volumes: vec![volume], ..StickFacts::default() }
}

fn changed(change: impl FnOnce(&mut StickFacts)) -> StickFacts {
    let mut facts = stick();
    change(&mut facts);
    facts
}

fn note() -> StickNote {
    StickNote {
        format: 1,
        customer: "104711".parse().unwrap(),
        box_name: "kasse-1".parse().unwrap(),
        box_id: "0".repeat(32),
        made: None,
    }
}

fn refusal(facts: &StickFacts, erase_backups: bool) -> Option<Refusal> {
    let rules = TseRules { serials: vec!["0A1B".into()], positions: vec!["1-1.2".into()] };
    may_format(facts, &rules, erase_backups).err()
}

#[test]
fn whatever_lies_on_a_stick_that_can_be_unplugged_it_may_be_formatted() {
    assert_eq!(refusal(&stick(), false), None);
    for kind in [FsKind::Fat32, FsKind::Ntfs, FsKind::Ext, FsKind::Blank, FsKind::Unknown] {
        assert_eq!(refusal(&changed(|facts| facts.volumes[0].kind = kind), false), None, "{kind:?}");
    }
    let damaged = changed(|facts| facts.volumes[0].problem = Some(Problem::BootSector("nonsense".into())));
    assert_eq!(refusal(&damaged, false), None);
    assert_eq!(refusal(&changed(|facts| facts.volumes.clear()), false), None);
    assert_eq!(refusal(&changed(|facts| (facts.device.removable, facts.device.is_image) = (None, true)), false), None);
}

#[test]
fn no_sign_of_a_tse_is_overruled_by_anything() {
    let file = |name: &str| RootEntry { name: name.into(), size: 1, is_dir: false };
    let signs: Vec<StickFacts> = vec![
        changed(|facts| facts.device.vendor_id = Some("1370".into())),
        changed(|facts| {
            facts.device.vendor_id = Some("04b8".into());
            facts.device.model_id = Some("0638".into());
        }),
        changed(|facts| facts.device.names = vec!["EPSON".into()]),
        changed(|facts| facts.device.serial = Some("0a1b".into())),
        changed(|facts| facts.device.positions = vec!["1-1.2".into()]),
        changed(|facts| facts.device.labels = vec!["SWISSBIT".into()]),
        changed(|facts| facts.volumes[0].label = Some("SWISSBIT".into())),
        changed(|facts| facts.volumes[0].boot_label = Some("Swissbit TSE".into())),
        changed(|facts| facts.volumes[0].root = vec![file("TSE_INFO.DAT")]),
        changed(|facts| facts.volumes[0].root = vec![file("tse-io.bin")]),
    ];
    for facts in signs {
        // What was not even opened is known by its device's own words.
        for facts in [facts.clone(), StickFacts { look: Look::NotOpened, ..facts }] {
            let told = refusal(&facts, true);
            assert!(matches!(told, Some(Refusal::Stick(Reason::Tse { .. }))), "{facts:?}: {told:?}");
        }
    }
}

#[test]
fn what_may_be_a_disk_of_the_box_or_was_not_seen_is_not_formatted() {
    let unreadable = |problem: Problem| changed(|facts| facts.volumes[0].problem = Some(problem));
    for (facts, word) in [
        (changed(|facts| facts.device.removable = Some(false)), "built-in"),
        (changed(|facts| facts.device.removable = None), "built-in"),
        (changed(|facts| facts.look = Look::NotOpened), "nobody looked"),
        (changed(|facts| facts.look = Look::Failed("EIO".into())), "EIO"),
        (unreadable(Problem::Unreadable("EIO".into())), "EIO"),
        (unreadable(Problem::TooMuch("reads".into())), "reads"),
        (changed(|facts| facts.device.read_only = true), "write-protected"),
        (changed(|facts| facts.wanted = Some(1 << 20)), "partition"),
    ] {
        let told = refusal(&facts, true).unwrap_or_else(|| panic!("{facts:?}"));
        assert!(told.to_string().contains(word), "{told}");
        for lang in [Lang::De, Lang::En, Lang::Es] {
            assert!(!told.text(lang).is_empty());
        }
    }
}

#[test]
fn backups_go_only_when_somebody_said_so() {
    let owned = changed(|facts| facts.volumes[0].owner = Some(note()));
    let boxes = changed(|facts| facts.volumes[0].boxes = vec!["kasse-2".into()]);
    for (facts, of) in [(owned, "104711 / kasse-1"), (boxes, "kasse-2")] {
        assert_eq!(refusal(&facts, false), Some(Refusal::Backups { of: vec![of.into()] }));
        assert_eq!(refusal(&facts, true), None);
    }
}
