//! The result of a command.

use std::{error::Error, io, process::ExitCode};

/// What a command comes to; any error is printed and makes the program fail. Commands write to the writer they are
/// given and pass its errors on as they are: a reader that has seen enough (`| head`) is no failure.
pub type Outcome = Result<ExitCode, Box<dyn Error>>;

/// True when the reader of the output has gone.
pub fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
