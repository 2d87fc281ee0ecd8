//! A fleet of emitter replicas under churn, cuts, replica changes, relists, restarts,
//! reloads and restored backups: what each client receives is legal.
//!
//! `FLEET_CLIENTS=1000 FLEET_ROUNDS=60 cargo test -p consistency --test fleet` runs the large
//! one; `FLEET_SEED` repeats one, and `FLEET_RECORD=FILE` writes what all clients received.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic too")]

#[path = "fleet/client.rs"]
mod client;
#[path = "fleet/defects.rs"]
mod defects;
#[path = "fleet/replica.rs"]
mod replica;
#[path = "fleet/upstream.rs"]
mod upstream;
#[path = "fleet/wire.rs"]
mod wire;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use client::Client;
use consistency::record::Line;
use consistency::{Judge, Seen, Truth, View};
use replica::Replica;
use upstream::{RESOURCES, Upstream};

/// Namespaces and team of the restricted clients, by policy.
const POLICIES: [(&[&str], &str); 3] = [(&["n0"], "a"), (&["n1"], "b"), (&["n0", "n1"], "a")];

fn policy(number: usize) -> String {
    let (namespaces, team) = POLICIES[number];
    let namespaces = namespaces.join(", ");
    format!(
        "consumers: [{{name: all, groups: [all]}}, {{name: some, groups: [some], namespaces: [{namespaces}]}}, {{name: team, groups: [team], selector: team={team}}}]"
    )
}

fn clients(n_clients: usize, directory: &Path) -> Vec<Client> {
    let mut tokens = String::new();
    let client = |i: usize| {
        let name = format!("c{i}");
        let group = ["all", "some", "team"][i / 12 % 3];
        tokens += &format!("{name},{name},{i},\"{group}\"\n");
        let resource = RESOURCES[i / 36 % 2].to_owned();
        let views = POLICIES.map(|(namespaces, team)| View {
            resource: resource.clone(),
            namespaces: (group == "some").then(|| namespaces.iter().map(|&it| it.into()).collect()),
            team: (group == "team").then(|| team.to_owned()),
        });
        // The last one is of nobody.
        let nowhere = View {
            resource,
            namespaces: Some(["n9".to_owned()].into()),
            team: None,
        };
        Client::new(i, name, views.into_iter().chain([nowhere]).collect())
    };
    let clients = (0..n_clients).map(client).collect();
    std::fs::write(directory.join("tokens"), tokens).unwrap();
    clients
}

struct Fleet {
    directory: tempfile::TempDir,
    upstream: Upstream,
    replicas: Vec<Replica>,
    clients: Vec<Client>,
    policy: usize,
}

impl Fleet {
    fn new(n_clients: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clients = clients(n_clients, directory.path());
        std::fs::write(directory.path().join("policy"), policy(0)).unwrap();
        let mut upstream = Upstream::new();
        (0..60).for_each(|_| upstream.churn());
        upstream.tick();
        let replicas = (0..3).map(|_| Replica::start(directory.path(), 0, &upstream));
        Self {
            replicas: replicas.collect(),
            directory,
            upstream,
            clients,
            policy: 0,
        }
    }

    async fn round(&mut self, number: usize) {
        (0..fastrand::u8(1..12)).for_each(|_| self.upstream.churn());
        self.upstream.tick();
        match number % 10 {
            3 => self.upstream.back_up(),
            8 => self.restore(),
            5 => {
                self.policy = (self.policy + 1) % POLICIES.len();
                let path = self.directory.path().join("policy");
                std::fs::write(path, policy(self.policy)).unwrap();
            }
            _ => {}
        }
        // Who is away for longer than this after a restored backup cannot be told from
        // others, neither by an API server; nor can a replica tell that started after it.
        let is_restored = matches!(number % 10, 8 | 9);
        let is_reloading = matches!(number % 10, 5..=7);
        for i in 0..self.replicas.len() {
            self.disturb(i, !is_restored).await;
            if number % 10 == 7 && self.replicas[i].policy != self.policy {
                self.replicas[i].reload(self.policy).await;
            }
        }
        for client in &mut self.clients {
            if is_restored {
                client.go_on(&self.replicas, 10_000).await;
            }
            if fastrand::u8(..4) == 0 {
                client.go_to(fastrand::usize(..self.replicas.len()));
            }
            for _ in 0..fastrand::u8(..4) {
                client.go_on(&self.replicas, fastrand::usize(1..5)).await;
            }
        }
        let is_soon = is_restored || is_reloading;
        let later = if is_soon { 20 } else { 90 };
        let later = Duration::from_secs(fastrand::u64(..later));
        tokio::time::advance(later).await;
    }

    /// Restores the backup. All replicas had read what was before, and lose their watches
    /// at once: what one of them serves of the former history later, none can tell.
    fn restore(&mut self) {
        for replica in &mut self.replicas {
            for of in [0, 1] {
                while replica.read(&self.upstream, of) {}
                replica.read(&self.upstream, of);
            }
        }
        self.upstream.restore();
        for replica in &mut self.replicas {
            replica.list(&self.upstream, 0);
        }
    }

    async fn disturb(&mut self, i: usize, may_restart: bool) {
        let replica = &mut self.replicas[i];
        match fastrand::u8(..20) {
            0 | 1 => replica.list(&self.upstream, fastrand::usize(..2)),
            2 if may_restart => {
                let path = self.directory.path();
                *replica = Replica::start(path, self.policy, &self.upstream);
            }
            _ => {
                for of in [0, 1] {
                    (0..fastrand::u8(..12)).for_each(|_| {
                        replica.read(&self.upstream, of);
                    });
                }
            }
        }
        if fastrand::bool() && replica.policy != self.policy {
            replica.reload(self.policy).await;
        }
    }

    /// Lets everything arrive.
    async fn settle(&mut self) {
        self.upstream.tick();
        for replica in &mut self.replicas {
            replica.reload(self.policy).await;
            for of in [0, 1, 0, 1] {
                while replica.read(&self.upstream, of) {}
                replica.read(&self.upstream, of);
            }
        }
        for _ in 0..2 {
            for client in &mut self.clients {
                client.settle(&self.replicas).await;
            }
            tokio::time::advance(Duration::from_secs(200)).await;
        }
        for client in &mut self.clients {
            client.settle(&self.replicas).await;
            client.seen.push(Seen::End);
        }
    }
}

fn environment(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |it| it.parse().unwrap())
}

async fn run(n_clients: usize, n_rounds: usize) -> (Truth, Vec<Client>) {
    let mut fleet = Fleet::new(n_clients);
    for number in 0..n_rounds {
        fleet.round(number).await;
    }
    fleet.settle().await;
    (fleet.upstream.truth, fleet.clients)
}

fn record(path: &str, truth: &Truth, clients: &[Client]) {
    let mut file = std::fs::File::create(path).unwrap();
    let truth = Line::Truth(truth.clone());
    writeln!(file, "{}", serde_json::to_string(&truth).unwrap()).unwrap();
    for client in clients {
        let line = Line::Client {
            name: client.name.clone(),
            views: client.views.clone(),
            seen: client.seen.clone(),
        };
        writeln!(file, "{}", serde_json::to_string(&line).unwrap()).unwrap();
    }
}

fn seed() -> u64 {
    let seed = environment("FLEET_SEED", 1) as u64;
    fastrand::seed(seed);
    seed
}

#[tokio::test(start_paused = true)]
async fn every_client_of_a_fleet_sees_a_legal_history() {
    let seed = seed();
    let n_clients = environment("FLEET_CLIENTS", 72);
    let (truth, clients) = run(n_clients, environment("FLEET_ROUNDS", 20)).await;
    if let Ok(path) = std::env::var("FLEET_RECORD") {
        record(&path, &truth, &clients);
    }
    let count = |of: fn(&Seen) -> bool| -> usize {
        let all = clients.iter();
        all.map(|it| it.seen.iter().filter(|it| of(it)).count())
            .sum()
    };
    eprintln!(
        "{n_clients} clients: {} lists, {} resumed watches, {} events, {} expired",
        count(|it| matches!(it, Seen::Listed { .. })),
        count(|it| matches!(it, Seen::Resumed { .. })),
        count(|it| matches!(it, Seen::Event { .. })),
        count(|it| matches!(it, Seen::Expired)),
    );
    let judge = Judge::new(&truth);
    for client in &clients {
        let judged = judge.judge(&client.views, &client.seen);
        assert_eq!(judged, Ok(()), "seed {seed}, client {}", client.name);
    }
}

#[tokio::test(start_paused = true)]
async fn every_planted_defect_is_found() {
    let _ = seed();
    let (truth, clients) = run(108, 22).await;
    let judge = Judge::new(&truth);
    for (name, plant) in defects::ALL {
        let planted = clients.iter().filter_map(|client| {
            let seen = plant(&client.seen)?;
            Some((client, seen))
        });
        let planted: Vec<_> = planted.collect();
        assert!(!planted.is_empty(), "{name} finds no place");
        let found = planted.iter();
        let found = found.filter(|(client, seen)| judge.judge(&client.views, seen).is_err());
        let n_found = found.count();
        eprintln!("| {name} | {} | {n_found} |", planted.len());
        assert_eq!(n_found, planted.len(), "{name}");
    }
}
