//! Which controls a kind bears on, and the event made of it: who and when are added here. Pure, but for the clock.

use super::model::{About, Event, VERSION, What};
use super::parts::Reason;
use crate::controls::ControlId;

impl What {
    /// Its name, as in JSON.
    pub fn kind(&self) -> String {
        let own = serde_json::to_value(self).unwrap_or_default();
        own["kind"].as_str().unwrap_or_default().into()
    }

    /// The controls that it bears on, where they follow from the kind; [`Self::of_control`] says them otherwise.
    pub fn controls(&self) -> Vec<ControlId> {
        use ControlId as C;
        let of = |reasons: &[Reason]| {
            let mut all: Vec<C> = reasons.iter().filter_map(|r| r.control).collect();
            all.sort();
            all.dedup();
            all
        };
        match self {
            Self::Refused { reasons, .. } => of(reasons),
            Self::Exec { reasons, .. } if !reasons.is_empty() => of(reasons),
            Self::Exec { .. } => vec![C::S8_4_1, C::S8_4_13],
            Self::LaunchRequested { .. } => vec![C::S8_3_1, C::S8_3_4],
            Self::Identity { .. } => vec![C::S8_5_1],
            Self::Granted { .. } | Self::Verified { .. } => vec![C::S5_2, C::S6_1],
            Self::ExceptionUsed { .. } => vec![C::S3_1],
            Self::OomKilled { .. } | Self::LimitHit { .. } => vec![C::S8_1_4],
            Self::DeniedCall { .. } => vec![C::S8_1_4],
            Self::DeniedAccess { .. } => vec![C::S8_4_7],
            Self::Changed { .. } => vec![C::S8_2_1],
            Self::PeerRefused { .. } => vec![C::S8_4_2],
            Self::Collector { .. } | Self::Spool { .. } | Self::Gap { .. } => vec![C::S8_4_2],
            Self::WorkerRestarted { .. } => vec![C::S8_4_2],
            Self::Port { .. } | Self::PortNative { .. } | Self::PortRefused { .. } => {
                vec![C::S8_2_4]
            }
            Self::LifetimeReached { .. } => vec![C::Osg3],
            Self::Clamped { .. } | Self::Hook { .. } => Vec::new(),
            Self::Started { .. } | Self::Exited { .. } => vec![C::S8_3_4],
            Self::ClockStep { .. } | Self::Heartbeat { .. } => vec![C::S8_3_4],
        }
    }

    /// It as an event about a launch, now. `controls` are those beside its kind's own.
    pub fn event(self, about: &About, controls: &[ControlId]) -> Event {
        let mut all = controls.to_vec();
        // A denial's own control says more than that of all denials.
        if !matches!(self, Self::DeniedCall { .. } | Self::DeniedAccess { .. }) || all.is_empty() {
            all.extend(self.controls());
        }
        all.sort();
        all.dedup();
        Event {
            version: VERSION,
            time: crate::clock::now(),
            id: about.id.clone(),
            name: about.name.clone(),
            launch: about.launch.clone(),
            controls: all,
            unsent: 0,
            shortened: false,
            what: self,
        }
    }
}

impl From<&crate::policy::Clamp> for What {
    fn from(clamp: &crate::policy::Clamp) -> Self {
        Self::Clamped {
            pointer: clamp.pointer.clone(),
            asked: clamp.asked.clone(),
            granted: clamp.granted.clone(),
        }
    }
}

impl From<&crate::policy::Waiver> for What {
    fn from(waiver: &crate::policy::Waiver) -> Self {
        Self::ExceptionUsed {
            exception: waiver.exception.clone(),
            grants: waiver.grants.clone(),
            expires: waiver.expires.clone(),
            approver: waiver.approver.clone(),
            reference: waiver.reference.clone(),
        }
    }
}
