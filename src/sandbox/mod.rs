//! A local double of the AWS services that keystead talks to.
