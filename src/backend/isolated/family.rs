//! The seam between what is the same for every device that another process speaks to, and what each
//! kind of device has of its own.

use core::fmt::Debug;
use core::time::Duration;
use std::boxed::Box;
use std::string::String;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::line::Line;
use crate::backend::BoxedSigner;
use crate::backend::secret::{Secret, SecretError};
use crate::core::key::SignError;

/// How long a device may look for primes: a small card takes minutes for a large key.
pub const PRIMES: Duration = Duration::from_secs(600);

/// A kind of device: what is said about it, and who does it.
///
/// The two programs may be built with different features, so that no message has a part that depends
/// on them: which family it is, is said by name before the first message.
pub trait Family: Sized + Send + 'static {
    /// The feature that it comes with, and its name in the greeting.
    const FEATURE: &'static str;

    /// Whether a worker whose client was killed has to take back what its device holds for it. If so
    /// it ends by the end of its pipes, and not at once by the kernel's hand.
    const TIDIES: bool;

    /// How devices are reached.
    type Access: Talk + Clone + Sync + Debug;
    /// Which key is opened.
    type OpenKey: Talk + Clone;
    /// What is said of a key that is open, beside its public key.
    type Opened: Talk;
    /// What else can be done.
    type Task: Talk + Clone;
    /// What became of it.
    type Done: Talk;
    /// What a secret is asked for by.
    type Question: Talk + Clone;
    /// What is said while the device waits.
    type Notice: Talk + Clone;
    /// Why something was not done.
    type Error: Talk;

    /// Who answers the questions.
    type Operator: Answer<Self> + Send + ?Sized;
    /// Who does it.
    type Device: ?Sized;

    /// How long one call may take.
    fn timeout(access: &Self::Access) -> Duration;

    /// What the worker speaks to, for people.
    fn place(access: &Self::Access) -> String;

    /// The time that opening this key may take besides.
    fn time_to_open(_: &Self::OpenKey) -> Duration {
        Duration::ZERO
    }

    /// The time that this task may take besides.
    fn time_for(task: &Self::Task) -> Duration;

    /// How long the device waits for a person after this notice. It gives up by itself.
    fn patience(notice: &Self::Notice) -> Duration;

    /// That the worker is the reason.
    fn failed(reason: String) -> Self::Error;

    /// That the public key of a key that is open is of no known kind.
    fn unreadable(request: &Self::OpenKey) -> Self::Error;

    /// What a signer says of an error on the way to its key.
    fn sign_error(error: &Self::Error) -> SignError;

    /// The error that a device gave from this call, with its fixed names; `None` if there is no such
    /// call.
    fn device_error(call: &str, code: u32) -> Option<SignError>;

    /// Whether a device says by this code that it has used up the memory that the worker gets.
    fn is_out_of_memory(code: u32) -> bool;

    /// Opens a key.
    ///
    /// # Errors
    /// What the device says.
    fn open(
        device: &mut Self::Device,
        request: &Self::OpenKey,
        operator: Box<Line<Self>>,
    ) -> Result<(BoxedSigner, Self::Opened), Self::Error>;

    /// Does something else.
    ///
    /// # Errors
    /// What the device says.
    fn perform(
        device: &mut Self::Device,
        task: &Self::Task,
        operator: &mut Line<Self>,
    ) -> Result<Self::Done, Self::Error>;
}

/// What travels.
pub trait Talk: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Talk for T {}

/// Who answers the questions of a family's devices.
pub trait Answer<F: Family> {
    /// The secret that is asked for; `None` if there is none to be had (again).
    ///
    /// # Errors
    /// [`SecretError`], if its source cannot be read.
    fn secret(&mut self, question: &F::Question) -> Result<Option<Secret>, SecretError>;

    /// Whether a person types secrets.
    fn is_person(&self) -> bool;

    /// Says what a person has to do.
    fn notify(&mut self, notice: &F::Notice);

    /// Is told why a key that had to be opened again could not be.
    fn failed(&mut self, _: &F::Error) {}
}
