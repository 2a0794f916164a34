//! The cards in docs/ are those that the patterns and words of today give; `make card` draws them anew.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use tillstick::feedback::card;
use tillstick::lang::Lang;

#[test]
fn the_printed_cards_are_what_the_box_plays() {
    for (lang, name) in [(Lang::De, "de"), (Lang::En, "en"), (Lang::Es, "es")] {
        let path = format!("docs/card.{name}.svg");
        let committed = std::fs::read_to_string(&path).unwrap();
        assert!(committed == card::svg(lang), "{path} is not what the patterns give: run `make card`");
        assert!(std::fs::read(format!("docs/card.{name}.pdf")).unwrap().starts_with(b"%PDF"));
    }
}
