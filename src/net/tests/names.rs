use super::*;
use crate::core::NodeId;
use crate::net::NetConfig;
use crate::net::connect::connect;
use crate::net::test_brokers::{answer, api_versions, header, listen, nobody, read_frame};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

/// Knows what a test tells it.
#[derive(Debug, Default)]
struct Told {
    addresses: Mutex<BTreeMap<&'static str, Vec<IpAddr>>>,
    names: BTreeMap<IpAddr, &'static str>,
    asked: Mutex<Vec<String>>,
}

impl Names for Told {
    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let known = self.addresses.lock().unwrap().get(name).cloned();
        known.ok_or_else(|| io::Error::other("nobody knows it"))
    }

    fn name(&self, address: IpAddr) -> io::Result<String> {
        let name = self.names.get(&address).ok_or_else(|| io::Error::other("it has none"))?;
        Ok((*name).to_owned())
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A broker that says what it speaks.
fn broker() -> SocketAddr {
    listen(|_, mut stream| {
        let (_, version, id) = header(&read_frame(&stream).unwrap());
        stream.write_all(&answer(id, &api_versions(&[(3, 0, 13)]), version)).unwrap();
        // Until the other side has read it.
        let _ = read_frame(&stream);
    })
}

async fn try_connect(names: &Arc<Told>, host: &str, port: u16) -> Result<(), String> {
    let config = NetConfig { names: Arc::clone(names) as Arc<dyn Names>, ..NetConfig::default() };
    let connected = connect(&Peer::new(NodeId(1), host, port), &config, Duration::from_secs(30)).await;
    connected.map(drop).map_err(|cause| cause.to_string())
}

#[tokio::test]
async fn every_address_of_a_name_is_tried_and_each_cause_is_told() {
    let there = broker();
    let names = Arc::new(Told::default());
    // Nobody listens at the first two, at this port.
    let addresses = ["127.0.0.3", "127.0.0.2", "127.0.0.1"].map(address).to_vec();
    names.addresses.lock().unwrap().insert("kafka", addresses.clone());
    try_connect(&names, "kafka", there.port()).await.unwrap();
    names.addresses.lock().unwrap().insert("kafka", addresses[..2].to_vec());
    let error = try_connect(&names, "kafka", there.port()).await.unwrap_err();
    for part in ["kafka", "127.0.0.3:", "127.0.0.2:", "connection refused; 127.0.0.2"] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[tokio::test]
async fn a_name_is_looked_up_again_at_each_attempt() {
    let there = broker();
    let names = Arc::new(Told::default());
    let error = try_connect(&names, "kafka", there.port()).await.unwrap_err();
    assert!(error.contains("its name cannot be resolved (nobody knows it)"), "{error}");
    names.addresses.lock().unwrap().insert("kafka", vec![address("127.0.0.9")]);
    try_connect(&names, "kafka", there.port()).await.unwrap_err();
    names.addresses.lock().unwrap().insert("kafka", vec![address("127.0.0.1")]);
    try_connect(&names, "kafka", there.port()).await.unwrap();
    assert_eq!(*names.asked.lock().unwrap(), ["kafka"; 3]);
}

#[tokio::test]
async fn an_address_is_not_looked_up() {
    let names = Arc::new(Told::default());
    try_connect(&names, "127.0.0.1", broker().port()).await.unwrap();
    // IPv6 as it stands before a port. Where the system has none, the cause is another one.
    let error = try_connect(&names, "[::1]", nobody().port()).await.unwrap_err();
    assert!(error.contains("[::1]:"), "{error}");
    assert!(names.asked.lock().unwrap().is_empty());
}

#[test]
fn canonical_names_of_bootstrap_servers() {
    let mut names = Told::default();
    names.addresses.lock().unwrap().insert("kafka", ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(address).to_vec());
    names.names = [("10.0.0.1", "b1.kafka"), ("10.0.0.2", "b2.kafka"), ("::1", "localhost")]
        .map(|(of, name)| (address(of), name))
        .into();
    let servers =
        |list: &[(&str, u16)]| list.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect::<Vec<_>>();
    let found =
        canonical_servers(&servers(&[("kafka", 9092), ("gone", 9092), ("[::1]", 9093), ("kafka", 9092)]), &names);
    // One that has no name stands for itself; each stands once.
    let expected = [("b1.kafka", 9092), ("b2.kafka", 9092), ("10.0.0.3", 9092), ("localhost", 9093)];
    assert_eq!(found.unwrap(), servers(&expected));
    let error = canonical_servers(&servers(&[("gone", 9092)]), &names).unwrap_err().to_string();
    assert_eq!(error, "bootstrap.servers: no server has an address (gone: nobody knows it)");
}

#[test]
fn the_system_knows_this_machine() {
    let addresses = SystemNames.addresses("localhost").unwrap();
    assert!(addresses.iter().all(IpAddr::is_loopback) && !addresses.is_empty(), "{addresses:?}");
    assert!(!SystemNames.name(address("127.0.0.1")).unwrap().is_empty());
}
