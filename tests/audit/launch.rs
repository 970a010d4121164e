//! A launch that is weakened in one place and then audited: in a process of its own, since launching takes one thread.
//!
//! The plan is edited through the library, behind the policy that would refuse it: no user of the product gets here.

use crate::support::text;
use crate::weakenings;
use cofferdam::audit::inside::{Ground, attack, together};
use cofferdam::audit::observe::Observer;
use cofferdam::bundle::Bundle;
use cofferdam::container::{Context, Saved, StopTimeout, Store, now};
use cofferdam::host::Host;
use cofferdam::paths::GuestPath;
use cofferdam::plan::Plan;
use cofferdam::policy::{self, Decision, Policy};
use cofferdam::request::RunRequest;
use cofferdam::survey::Survey;
use std::path::Path;

/// The payload's verb: `weakened NAME STATE` prints a line for each finding, "VERDICT ID ANSWER".
pub fn run(verb: &str, args: &[String]) -> Option<i32> {
    if verb != "weakened" {
        return None;
    }
    cofferdam::sys::process::default_sigchld();
    let (name, state) = (args[0].as_str(), Path::new(&args[1]));
    let parts = Parts::new(&format!("audit-{}", std::process::id()));
    let neighbour = Parts::new(&format!("audit-{}-beside", std::process::id())).plan;
    let mut plan = parts.plan.clone();
    if let Some(weakening) = weakenings::all().find(|w| w.name == name) {
        (weakening.edit)(&mut plan);
    } else {
        assert_eq!(name, "nothing");
    }
    let store = Store::at(state.to_path_buf());
    let context = parts.context();
    let ground = Ground {
        plan: &plan,
        neighbour: &neighbour,
        host: &parts.host,
        context: &context,
        store: &store,
    };
    let mut seen = Vec::new();
    let tried = attack(&ground, &mut |_, running, _| {
        let observer = Observer::new(&parts.policy, false, Some(&parts.host), state);
        let subject = observer.judge(&observer.of_pid(running.pid)).unwrap();
        seen = subject.findings;
    });
    match tried {
        Ok(tried) => {
            for f in together(&ground, tried, seen) {
                let why = f.verdict.why().unwrap_or_default();
                println!(
                    "{} {} {} {why}",
                    f.verdict.word().replace(' ', "-"),
                    f.id,
                    f.answer.replace(' ', "-")
                );
            }
            Some(0)
        }
        Err(error) => {
            println!("{name} in {}: {error}", text(state));
            Some(1)
        }
    }
}

struct Parts {
    host: Host,
    bundle: Bundle,
    policy: Policy,
    plan: Plan,
}

impl Parts {
    fn new(name: &str) -> Self {
        let request = RunRequest {
            name: name.into(),
            tmpfs: vec![(GuestPath::parse("/tmp").unwrap(), 48 << 20)],
            expose: vec![8080],
            ..RunRequest::default()
        };
        let bundle = Bundle::standalone(&request).unwrap();
        let (host, policy) = (Host::probe().unwrap(), Policy::built_in().unwrap());
        let grant = match policy::decide(&bundle, &policy, &host) {
            Decision::Granted(grant) => grant,
            Decision::Refused(why) => panic!("{why:?}"),
        };
        let survey = Survey::take(&grant).unwrap();
        let plan = cofferdam::plan::plan(&grant, &host, &survey).unwrap();
        Self {
            host,
            bundle,
            policy,
            plan,
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            host: &self.host,
            bundle_digest: &self.bundle.digest,
            policy_digest: &self.policy.digest,
            bundle: String::new(),
            annotations: Default::default(),
            image: None,
            records: Vec::new(),
            requested: now(),
            stop_timeout: StopTimeout::default(),
            events: cofferdam::events::Sender::nowhere(cofferdam::events::About::launch_of(
                "audit",
            )),
            say: |_| {},
            warnings: Default::default(),
            held: Default::default(),
            keeper: Default::default(),
            network: Default::default(),
            resolver: None,
            links: Default::default(),
            saved: Saved::of(&self.bundle, &self.policy, &self.host, &self.plan),
        }
    }
}
