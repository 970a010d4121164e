//! Whether a collector would take what this host sends, in a sentence.
//!
//! Connects as a shipper would, with the policy's own certificates, and says goodbye. Used by `collectors check`.

use super::super::Origin;
use super::resolve::Resolver;
use super::station::Station;
use super::trouble::Trouble;
use super::wire::DRAIN;
use crate::policy::Target;
use serde::Serialize;

/// What was found about one target.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// Its name.
    pub target: String,
    /// Where it is.
    pub place: String,
    /// Whether it would take records.
    pub works: bool,
    /// What stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What should be known though it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// Tries one target.
pub fn check(target: &Target) -> Answer {
    let station = Station::prepare(target);
    answer(target, station.as_ref())
}

/// Tries one that has been made ready, or says why it could not be.
pub(super) fn answer(target: &Target, station: Result<&Station, &Trouble>) -> Answer {
    let tried_once = || station.map_err(Clone::clone).and_then(tried_once);
    let mut tried = tried_once();
    // A collector may end an idle connection whenever it likes: only when it does so each time is something wrong.
    for _ in 0..2 {
        if tried == Err(Trouble::closed()) {
            tried = tried_once();
        }
    }
    let place = target.address.as_deref().or(target.place());
    Answer {
        target: target.name.clone(),
        place: place.unwrap_or_default().to_string(),
        works: tried.is_ok(),
        why: tried.err().map(|trouble| trouble.text),
        note: target
            .is_lossy()
            .then_some("lossy: nothing tells whether lines arrive"),
    }
}

fn tried_once(station: &Station) -> Result<(), Trouble> {
    let mut sink = station.open(&nobody(), &mut Resolver::new(), 0)?;
    sink.probe()?;
    sink.finish(DRAIN);
    Ok(())
}

fn nobody() -> Origin {
    Origin {
        id: "cofferdam-check".into(),
        name: None,
        image: None,
        host: "-".into(),
        boot: "-".into(),
        launch: "-".into(),
    }
}
