//! Where the parts of a formatted stick lie, for any size.

use tillstick::policy::format::{Label, Layout, TABLES};
use tillstick::policy::stick::Reason;

use crate::disk::MIB;

const GB: u64 = 1_000_000_000;

#[test]
fn clusters_are_those_that_other_formatters_choose() {
    for (size, sector, cluster) in [
        (64 * MIB, 512, 512),
        (2 * GB, 512, 4096),
        (8 * GB, 512, 4096),
        (16 * GB, 512, 8192),
        (32 * GB, 512, 16_384),
        (64 * GB, 512, 32_768),
        (2000 * GB, 512, 32_768),
        (2 * GB, 4096, 4096),
        (300 * MIB, 512, 4096),
    ] {
        assert_eq!(Layout::of(size, sector).unwrap().cluster(), cluster, "{size} in sectors of {sector}");
    }
}

#[test]
fn every_layout_is_aligned_fits_the_device_and_is_fat32() {
    let mut size = 36 * MIB;
    while size < 5000 * GB {
        for sector in [512, 1024, 2048, 4096] {
            let Ok(layout) = Layout::of(size, sector) else {
                assert!(size < 300 * MIB * u64::from(sector) / 4096 + 40 * MIB, "{size} is large enough for {sector}");
                continue;
            };
            assert!(layout.offset().is_multiple_of(MIB) && (layout.offset() + layout.data_at()).is_multiple_of(MIB));
            assert!(layout.end() <= size && layout.reserved >= 32);
            assert!(u64::from(layout.start) + u64::from(layout.sectors) <= u64::from(u32::MAX));
            let entries = u64::from(layout.table) * u64::from(sector) / 4;
            assert!(entries >= u64::from(layout.clusters) + 2 && layout.clusters > 65_536);
            let used = u64::from(layout.reserved) + TABLES * u64::from(layout.table);
            let data = u64::from(layout.clusters) * u64::from(layout.per_cluster);
            assert!(used + data <= u64::from(layout.sectors));
            assert!(u64::from(layout.sectors) - used - data < u64::from(layout.per_cluster));
        }
        size += size / 7 + 512;
    }
}

#[test]
fn what_is_too_small_is_told_how_much_it_takes() {
    for size in [0, 512, MIB, 20 * MIB, 33 * MIB] {
        let reason = Layout::of(size, 512).unwrap_err();
        let Reason::TooSmall { need, .. } = reason else { panic!("{reason:?}") };
        assert!(Layout::of(need, 512).is_ok(), "{need} is enough");
    }
    let Reason::TooSmall { need, .. } = Layout::of(100 * MIB, 4096).unwrap_err() else { panic!() };
    assert!(Layout::of(need, 4096).is_ok(), "{need} is enough");
}

#[test]
fn a_name_is_one_that_every_pc_shows_and_not_that_of_a_tse() {
    let label = |text: &str| text.parse::<Label>();
    assert_eq!(&label("kasse 1").unwrap().bytes(), b"KASSE 1    ");
    for wrong in ["", "   ", "MORE THAN ELEVEN", "A/B", "Käse", "a.b", "SWISSBIT", "swissbit 1", "a\u{202e}b"] {
        assert!(label(wrong).is_err(), "{wrong:?}");
    }
}
