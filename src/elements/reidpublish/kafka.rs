//! Lines to Apache Kafka, from a thread of its own: the stream never waits for the network.
//!
//! Frames go to `topic`, what happens to identities to `topic.events`. The key of every message is the element's name, so that
//! Kafka keeps them in order. The client writes each message once (idempotence), also after an outage. While the brokers are away a limited
//! number of messages waits, frames and events apart; the oldest are dropped and counted.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};

use super::{
    connect::Target,
    link::{CLOSING, Link, Shared},
    output::OpenError,
    report::Reporter,
    waiting::{Kind, LARGEST, Order},
};
use crate::sync::lock;

/// Messages that are handed to the client ahead.
const AHEAD: usize = 100;
/// How often the client is asked what has been acknowledged.
const TICK: Duration = Duration::from_millis(50);

/// How librdkafka is set up.
fn config(target: &Target) -> ClientConfig {
    let (address, files) = (&target.address, &target.files);
    let servers = std::iter::once(&address.server).chain(&address.others);
    let servers = servers.map(|server| match server.host.contains(':') {
        true => format!("[{}]:{}", server.host, server.port),
        false => format!("{}:{}", server.host, server.port),
    });
    let servers: Vec<String> = servers.collect();
    let protocol = match (address.is_encrypted, address.user.is_some()) {
        (false, false) => "plaintext",
        (false, true) => "sasl_plaintext",
        (true, false) => "ssl",
        (true, true) => "sasl_ssl",
    };
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers.join(","))
        .set("client.id", &target.client)
        .set("security.protocol", protocol)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("message.max.bytes", LARGEST.to_string())
        .set("message.timeout.ms", "0")
        .set("queue.buffering.max.messages", AHEAD.to_string())
        .set("reconnect.backoff.ms", "250")
        .set("reconnect.backoff.max.ms", "8000");
    let mut set = |name, value: Option<&String>| {
        if let Some(value) = value {
            config.set(name, value);
        }
    };
    set("ssl.ca.location", files.ca.as_ref());
    set("ssl.certificate.location", files.certificate.as_ref());
    set("ssl.key.location", files.key.as_ref());
    if address.user.is_some() {
        set("sasl.username", address.user.as_ref());
        set("sasl.password", address.password.as_ref());
        let mechanism = std::env::var("GST_REID_KAFKA_SASL_MECHANISM");
        set(
            "sasl.mechanism",
            mechanism.ok().or(Some("PLAIN".to_owned())).as_ref(),
        );
    }
    config
}

/// What the client tells.
struct Listener {
    shared: Arc<Shared<Condvar>>,
    /// What the last connection failed of.
    reason: Mutex<String>,
}

impl ClientContext for Listener {
    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                let known = lock(&self.reason).clone();
                self.shared.away(|| match known.is_empty() {
                    true => reason.to_owned(),
                    false => known,
                });
            }
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => {
                self.shared.away(|| reason.to_owned())
            }
            _ => reason.clone_into(&mut lock(&self.reason)),
        }
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.shared.refused();
            return self.shared.away(|| error.to_string());
        }
        self.shared.arrived();
        self.shared.connected();
    }
}

/// Begins to connect to a cluster.
pub(super) fn open(target: Target, report: Reporter) -> Result<Link<Condvar>, OpenError> {
    let shared = Shared::new(Condvar::new(), Order::EventsFirst, report);
    let listener = Listener {
        shared: shared.clone(),
        reason: Mutex::default(),
    };
    let session = Session {
        producer: config(&target).create_with_context(listener)?,
        shared: shared.clone(),
        events: format!("{}.events", target.address.topic),
        topic: target.address.topic,
        key: target.element,
    };
    let link = Link::start("reid-kafka", shared, move || session.run())?;
    Ok(link)
}

/// What the thread works with.
struct Session {
    producer: BaseProducer<Listener>,
    shared: Arc<Shared<Condvar>>,
    topic: String,
    events: String,
    key: String,
}

impl Session {
    fn run(self) {
        loop {
            let is_closing = self.shared.is_closing();
            let next = self.shared.next(TICK);
            let has_sent = next.is_some_and(|(kind, text)| self.send(kind, &text));
            if is_closing && !has_sent {
                break;
            }
            self.producer.poll(Duration::ZERO);
        }
        // What has not been acknowledged by then is lost, as it would be with the program's end.
        let left = self.shared.time_left().unwrap_or(CLOSING);
        let _ = self.producer.flush(left);
    }

    /// Hands a message to the client, once it takes one. False when it does not before closing has taken long enough.
    fn send(&self, kind: Kind, text: &str) -> bool {
        let topic = match kind {
            Kind::Frame => &self.topic,
            Kind::Event => &self.events,
        };
        let mut record = BaseRecord::to(topic).key(self.key.as_str()).payload(text);
        loop {
            match self.producer.send(record) {
                Ok(()) => return true,
                Err((error, same))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) =>
                {
                    record = same;
                }
                // Too large.
                Err(_) => {
                    self.shared.refused();
                    return true;
                }
            }
            self.producer.poll(TICK);
            if self.shared.is_late() {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            address::{Address, KAFKA},
            tls::TlsFiles,
        },
        *,
    };

    #[test]
    fn the_client_is_set_up_as_the_address_says() {
        let environment = |name: &str| (name == "GST_REID_KAFKA_PASSWORD").then(|| "secret".into());
        let of = |location: &str| {
            let address = Address::read(&KAFKA, location, environment);
            config(&Target {
                address: address.unwrap_or_else(|error| panic!("{error}")),
                #[cfg(feature = "mqtt")]
                tls: None,
                files: TlsFiles {
                    ca: Some("ca.pem".into()),
                    ..TlsFiles::default()
                },
                client: "me".into(),
                element: "door".into(),
            })
        };
        let config = of("kafkas://ann@one,[::2]:5/seen");
        for (name, value) in [
            ("bootstrap.servers", "one:9093,[::2]:5"),
            ("security.protocol", "sasl_ssl"),
            ("sasl.username", "ann"),
            ("sasl.password", "secret"),
            ("sasl.mechanism", "PLAIN"),
            ("ssl.ca.location", "ca.pem"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
        let plain = of("kafka://one/seen");
        assert_eq!(plain.get("security.protocol"), Some("plaintext"));
        assert_eq!(plain.get("sasl.password"), None);
    }
}
