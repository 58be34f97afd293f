//! Authentication and least privilege: exactly the roles of the operations page, on a replica set
//! of three members.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use futures::TryStreamExt;
use goldsmith::catalogue::{self, legacy};
use goldsmith::sample::{Spec, generate};
use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};

use crate::support::mongo::{Cluster, TestDb, wait};
use crate::support::{Ran, Running, Shop, TINY, TestApp};

/// Fewer customers than models learn from, and enough purchases for indexes.
const INDEXED: Spec = Spec { customers: 45, purchases: 1_050, seed: 3, dirty: 0.0 };
const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");

/// The commands of the operations page, for another database.
fn documented_commands(db: &str) -> Vec<Document> {
    let blocks = OPERATIONS.split("```json\n").skip(1);
    let commands: Vec<Document> = blocks
        .map(|block| {
            let json = block.split("```").next().unwrap();
            let renamed = json.replace("\"analytics", &format!("\"{db}"));
            let value: serde_json::Value = serde_json::from_str(&renamed).unwrap();
            mongodb::bson::serialize_to_document(&value).unwrap()
        })
        .collect();
    assert_eq!(commands.len(), 4);
    commands
}

/// Takes an action of one of its privileges away from a documented role.
fn without(mut role: Document, place: usize, action: &str) -> Document {
    let privilege = &mut role.get_array_mut("privileges").unwrap()[place];
    let actions = privilege.as_document_mut().unwrap().get_array_mut("actions").unwrap();
    actions.retain(|granted| granted.as_str() != Some(action));
    role
}

#[test]
fn the_reader_is_granted_every_business_name_and_nothing_behind_it() {
    let role = &documented_commands("analytics")[1];
    let granted: Vec<&str> = role
        .get_array("privileges")
        .unwrap()
        .iter()
        .map(|privilege| {
            let resource = privilege.as_document().unwrap().get_document("resource").unwrap();
            resource.get_str("collection").unwrap()
        })
        .filter(|name| !name.is_empty())
        .collect();
    let tables = catalogue::ALL.iter().map(|table| table.name);
    let names: Vec<&str> = tables.chain(legacy::ALL.iter().map(|view| view.name)).collect();
    assert_eq!(granted, names);
}

/// The actions of a role, each with the place of its privilege.
fn actions(role: &Document) -> Vec<(usize, String)> {
    role.get_array("privileges")
        .unwrap()
        .iter()
        .enumerate()
        .flat_map(|(place, privilege)| {
            let actions = privilege.as_document().unwrap().get_array("actions").unwrap();
            actions.iter().map(move |action| (place, action.as_str().unwrap().to_owned()))
        })
        .collect()
}

async fn count(db: &Database, name: &str) -> mongodb::error::Result<u32> {
    let found = db.collection::<Document>(name).find(doc! {}).await?;
    let found = found.try_collect::<Vec<_>>().await;
    found.map(|documents| u32::try_from(documents.len()).unwrap())
}

async fn assert_reader_is_limited_to_views(cluster: &Cluster, db: &TestDb) {
    let client = Client::with_uri_str(cluster.uri("metabase", "change%20me%20too")).await.unwrap();
    let seen = client.database(&db.name);
    let names = seen.list_collection_names().await.unwrap();
    let physical = names.iter().find(|name| name.starts_with("customers_")).unwrap();
    for view in ["customers", "gold_dim_clients"] {
        assert_eq!(count(&seen, view).await.unwrap(), INDEXED.customers, "{view}");
    }
    let ops = client.database(&format!("{}_ops", db.name));
    for refused in [count(&seen, physical).await, count(&ops, "manifests").await] {
        assert!(refused.unwrap_err().to_string().contains("not authorized"));
    }
    let writing = seen.collection("notes").insert_one(doc! { "a": 1 }).await;
    assert!(writing.unwrap_err().to_string().contains("not authorized"));
}

/// Creates a publisher that lacks an action; returns the user's name.
fn create_publisher_without(db: &TestDb, place: usize, action: &str) -> String {
    let mut role = without(documented_commands(&db.name).swap_remove(0), place, action);
    let name = format!("without_{action}_{place}_{}", db.name);
    role.insert("createRole", &name);
    wait(async {
        let admin = db.client().await.database("admin");
        admin.run_command(role).await.unwrap();
        let user = doc! { "createUser": &name, "pwd": "x", "roles": [&name] };
        admin.run_command(user).await.unwrap();
    });
    name
}

/// Refreshes from several sources; returns the first command that fails or warns.
fn first_refusal(shop: &Shop) -> Option<Ran> {
    for seed in 1..=4 {
        put_sample(shop, seed);
        let ran = ["refresh", "check"].map(|command| shop.run(&[command]));
        let is_refused = |ran: &Ran| ran.code != Some(0) || ran.err.contains("warning");
        let refused = ran.into_iter().find(is_refused);
        if refused.is_some() {
            return refused;
        }
    }
    None
}

fn put_sample(shop: &Shop, seed: u64) {
    for (name, bytes) in generate(Spec { seed, ..INDEXED }).unwrap() {
        shop.put(name, &bytes);
    }
}

fn assert_action_is_needed(cluster: &Cluster, place: usize, action: &str) {
    let db = TestDb::at(cluster.uri("root", "root"));
    let user = create_publisher_without(&db, place, action);
    let shop = Shop::sample(INDEXED).serving_from(&db).with_settings(&[
        ("MONGODB_URI", &cluster.uri(&user, "x")),
        ("PUBLISH__KEEP_GENERATIONS", "2"),
    ]);
    let refused =
        first_refusal(&shop).unwrap_or_else(|| panic!("{action} of {place} is not needed"));
    for part in ["lacks a privilege", "not authorized on", &db.name, "OPERATIONS.md"] {
        assert!(refused.err.contains(part), "{action}: {}", refused.err);
    }
}

#[test]
fn the_documented_privileges_are_sufficient_and_each_is_needed() {
    let cluster = Cluster::with_authentication();
    let db = TestDb::at(cluster.uri("root", "root"));
    let commands = documented_commands(&db.name);
    wait(async {
        let admin = db.client().await.database("admin");
        for command in &commands {
            admin.run_command(command.clone()).await.unwrap();
        }
    });
    let publisher = cluster.uri("goldsmith", "change%20me");
    let shop =
        Shop::sample(INDEXED).serving_from(&db).with_settings(&[("MONGODB_URI", &publisher)]);
    shop.run(&["refresh"]).good();
    put_sample(&shop, 9);
    shop.run(&["refresh"]).good();
    shop.run(&["check"]).good();
    shop.run(&["rollback"]).good();
    let app = TestApp::spawn(&shop);
    assert_eq!(app.get("/kpis").json()["meta"]["generation"], 1);
    assert_eq!(app.get("/health/ready").status, 200);
    wait(assert_reader_is_limited_to_views(&cluster, &db));

    // Each privilege of the publisher is needed: without it a first publish, a second one with a
    // sweep, or a check is refused with an error that names it.
    for (place, action) in actions(&commands[0]) {
        assert_action_is_needed(&cluster, place, &action);
    }
}

#[test]
fn a_server_that_cannot_be_used_is_named_in_one_sentence_without_the_password() {
    let cluster = Cluster::with_authentication();
    let db = TestDb::at(cluster.uri("root", "root"));
    wait(async {
        let admin = db.client().await.database("admin");
        let user = doc! { "createUser": "unprivileged", "pwd": "hunter2", "roles": [] };
        admin.run_command(user).await.unwrap();
    });
    let wrong_password = cluster.uri("root", "hunter2");
    let unprivileged = cluster.uri("unprivileged", "hunter2");
    let unknown_host = "mongodb://root:hunter2@no-such-host.invalid:27017/";
    let closed_port = "mongodb://root:hunter2@127.0.0.1:1/";
    for (uri, reason) in [
        (
            wrong_password.as_str(),
            "the user or the password in mongodb.uri (MONGODB_URI) is not accepted",
        ),
        (unprivileged.as_str(), "lacks a privilege: not authorized on"),
        (unknown_host, "no-such-host.invalid"),
        (closed_port, "no server answers at 127.0.0.1:1"),
    ] {
        let variables = [("MONGODB_URI", uri), ("MONGODB__SERVER_SELECTION_SECS", "1")];
        let shop = Shop::sample(TINY).serving_from(&db).with_settings(&variables);
        let ran = shop.run(&["refresh"]).refused(1, &[reason, &db.name]);
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");

        // Serving starts all the same, reports itself degraded and logs the reason.
        let running = Running::start(&shop, &["serve"], &[]);
        let app = &running.http;
        assert_eq!(app.get("/health/live").status, 200);
        let ready = app.get("/health/ready");
        assert_eq!((ready.status, ready.header("retry-after")), (503, Some("5")));
        assert_eq!(ready.json()["code"], "degraded");
        assert_eq!(app.get("/health").json()["data"]["status"], "degraded");
        let answer = app.get("/kpis");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
        let (code, log) = running.stop();
        assert_eq!(code, Some(0));
        let warning = log.lines().find(|line| line.starts_with("warning: ")).unwrap();
        assert!(warning.contains(reason), "{warning}");
        for text in [&ready.text, &answer.text, &log] {
            assert!(!text.contains("hunter2") && !text.contains("root:"), "{text}");
        }
    }
    Shop::sample(TINY)
        .with_settings(&[("MONGODB_URI", "mongodb://root:hunter2")])
        .run(&["refresh"])
        .refused(2, &["setting mongodb.uri (MONGODB_URI)"]);
}

/// Answers every message as a server of version 5.0 answers `hello`: a stand-in for one that is too
/// old.
fn old_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let answer = doc! {
        "ok": 1, "isWritablePrimary": true, "ismaster": true, "helloOk": true,
        "minWireVersion": 0, "maxWireVersion": 13, "maxBsonObjectSize": 16 << 20,
        "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "version": "5.0.31",
    };
    let answer = mongodb::bson::serialize_to_vec(&answer).unwrap();
    let converse = move |mut stream: TcpStream| -> std::io::Result<()> {
        /// Operations of the wire protocol: a legacy query, its reply, a message.
        const QUERY: i32 = 2_004;
        const REPLY: i32 = 1;
        const MESSAGE: i32 = 2_013;
        loop {
            let mut header = [0; 16];
            stream.read_exact(&mut header)?;
            let int = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
            let mut rest = vec![0; usize::try_from(int(0)).unwrap() - header.len()];
            stream.read_exact(&mut rest)?;
            let is_query = int(12) == QUERY;
            let before: Vec<u8> = if is_query {
                [0_i32, 0, 0, 0, 1].iter().flat_map(|int| int.to_le_bytes()).collect()
            } else {
                vec![0; 5]
            };
            let length = i32::try_from(16 + before.len() + answer.len()).unwrap();
            let operation = if is_query { REPLY } else { MESSAGE };
            let header = [length, 0, int(4), operation];
            let header: Vec<u8> = header.iter().flat_map(|int| int.to_le_bytes()).collect();
            stream.write_all(&[&header[..], &before, &answer].concat())?;
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let converse = converse.clone();
            // Ends when the client disconnects.
            std::thread::spawn(move || converse(stream));
        }
    });
    format!("mongodb://{host}/")
}

#[test]
fn a_server_that_is_too_old_is_refused_with_its_version() {
    let shop = Shop::sample(TINY).with_settings(&[("MONGODB_URI", &old_server())]);
    shop.run(&["refresh"])
        .refused(1, &["the server is MongoDB 5.0.31, goldsmith needs 6.0 or newer"]);
}
