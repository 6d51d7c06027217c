//! The environment variables of libpq.

/// The process's environment, or a test's.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What this process's environment says; an empty variable says nothing.
pub(super) fn of_this_process(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
