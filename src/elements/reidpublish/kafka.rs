//! Lines to Apache Kafka, from a thread of its own: the stream never waits for the network.
//!
//! Frames go to `topic`, what happens to identities to `topic.events`. The key of every message is the element's name, so that
//! Kafka keeps them in order. The client writes each message once (idempotence), also after an outage. While the brokers are away a limited
//! number of messages waits, frames and events apart; the oldest are dropped and counted.
//!
//! Locks: the queue's, for moments, never while the network is waited for.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};

use super::{
    connect::Target,
    output::{Broker, Counts, OpenError},
    report::{Report, Reporter},
    waiting::{Kind, LARGEST, Waiting},
};
use crate::sync::lock;

/// Messages that are handed to the client ahead.
const AHEAD: usize = 100;
/// How often the client is asked what has been acknowledged.
const TICK: Duration = Duration::from_millis(50);
/// Longest time that stopping waits for what is on its way.
const CLOSING: Duration = Duration::from_secs(2);

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

#[derive(Default)]
struct Queue {
    waiting: Waiting,
    is_away: bool,
    /// What the last connection failed of.
    reason: String,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something is waiting, or it is closing time.
    wake: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    fn push(&self, kind: Kind, text: String) {
        self.queue().waiting.push(kind, text);
        self.wake.notify_one();
    }

    /// The next message, if there is one within a moment, and whether it is closing time.
    fn next(&self) -> (Option<(Kind, String)>, bool) {
        let mut queue = self.queue();
        let mut next = queue.waiting.pop();
        if next.is_none() && !queue.waiting.is_closing {
            let waited = self.wake.wait_timeout(queue, TICK);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            next = queue.waiting.pop();
        }
        (next, queue.waiting.is_closing)
    }
}

/// What the client tells.
struct Listener {
    shared: Arc<Shared>,
    report: Reporter,
}

impl Listener {
    /// Says that messages do not arrive, once until they do again.
    fn away(&self, reason: String) {
        let is_news = {
            let mut queue = self.shared.queue();
            queue.waiting.is_connected = false;
            !queue.waiting.is_closing && !std::mem::replace(&mut queue.is_away, true)
        };
        if is_news {
            (self.report)(Report::Away(reason));
        }
    }
}

impl ClientContext for Listener {
    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                let known = self.shared.queue().reason.clone();
                self.away(if known.is_empty() {
                    reason.to_owned()
                } else {
                    known
                });
            }
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => {
                self.away(reason.to_owned())
            }
            _ => reason.clone_into(&mut self.shared.queue().reason),
        }
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.shared.queue().waiting.dropped += 1;
            return self.away(error.to_string());
        }
        let (was_away, dropped) = {
            let mut queue = self.shared.queue();
            queue.waiting.acknowledged += 1;
            queue.waiting.is_connected = true;
            (std::mem::take(&mut queue.is_away), queue.waiting.dropped)
        };
        if was_away {
            (self.report)(Report::Back { dropped });
        }
    }
}

/// A connection to a cluster that keeps itself up. Closes when dropped, which takes two seconds at most.
pub(super) struct Kafka {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Kafka {
    /// Begins to connect.
    pub fn open(target: Target, report: Reporter) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::default());
        let listener = Listener {
            shared: shared.clone(),
            report,
        };
        let session = Session {
            producer: config(&target).create_with_context(listener)?,
            shared: shared.clone(),
            events: format!("{}.events", target.address.topic),
            topic: target.address.topic,
            key: target.element,
        };
        let thread = thread::Builder::new().name("reid-kafka".into());
        let thread = Some(thread.spawn(move || session.run())?);
        Ok(Self { shared, thread })
    }
}

impl Broker for Kafka {
    fn push_frame(&self, text: String) {
        self.shared.push(Kind::Frame, text);
    }

    fn push_event(&self, text: String) {
        self.shared.push(Kind::Event, text);
    }

    fn counts(&self) -> Counts {
        self.shared.queue().waiting.counts()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.shared.queue().waiting.is_closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It ends by itself; a panic in there has been printed.
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct Session {
    producer: BaseProducer<Listener>,
    shared: Arc<Shared>,
    topic: String,
    events: String,
    key: String,
}

impl Session {
    fn run(self) {
        let mut late = None;
        loop {
            let (next, is_closing) = self.shared.next();
            if is_closing {
                late.get_or_insert_with(|| Instant::now() + CLOSING);
            }
            let has_sent = next.is_some_and(|(kind, text)| self.send(kind, &text, &mut late));
            if is_closing && !has_sent {
                break;
            }
            self.producer.poll(Duration::ZERO);
        }
        let left = late.map_or(CLOSING, |late| {
            late.saturating_duration_since(Instant::now())
        });
        // What has not been acknowledged by then is lost, as it would be with the program's end.
        let _ = self.producer.flush(left);
    }

    /// Hands a message to the client, once it takes one. False when it does not before `late`.
    fn send(&self, kind: Kind, text: &str, late: &mut Option<Instant>) -> bool {
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
                    self.shared.queue().waiting.dropped += 1;
                    return true;
                }
            }
            self.producer.poll(TICK);
            if self.shared.queue().waiting.is_closing {
                let late = late.get_or_insert_with(|| Instant::now() + CLOSING);
                if Instant::now() > *late {
                    return false;
                }
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
