//! `goldsmith generate`: sample source files.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::error::CliError;
use super::output::outln;
use crate::domain::digest::sha256_hex;
use crate::sample::{self, Format, Spec};

/// Writes the files of a sample to a directory.
///
/// # Errors
/// [`CliError::Request`] when the directory holds files that are not part of a sample, which may be
/// the only copy of a shop's data, or a sample in another format, whose files would stay beside these.
pub(super) fn generate(spec: Spec, format: Format, out: &Path) -> Result<(), CliError> {
    let write_error = |path: &Path| {
        let path = path.display().to_string();
        move |source| CliError::Write { path, source }
    };
    let files = sample::export(spec, format)?;
    std::fs::create_dir_all(out).map_err(write_error(out))?;
    let truth = std::fs::read(out.join(sample::GROUND_TRUTH)).unwrap_or_default();
    for (name, _) in &files {
        let path = out.join(name);
        let is_foreign = std::fs::read(&path)
            .is_ok_and(|content| !sample::is_sample(&truth, name, &sha256_hex(&content)));
        if is_foreign {
            return Err(CliError::Request(format!(
                "{} is not the sample file that {} in the same directory describes; choose another \
                 directory",
                path.display(),
                sample::GROUND_TRUTH
            )));
        }
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let other = sample::files_of(&truth)
        .into_iter()
        .find(|name| !names.contains(&name.as_str()) && out.join(name).exists());
    if let Some(name) = other {
        return Err(CliError::Request(format!(
            "{} is of a sample in another format; choose another directory",
            out.join(name).display()
        )));
    }
    for (name, bytes) in files {
        let path = out.join(name);
        write_atomically(&path, &bytes).map_err(write_error(&path))?;
        outln!("wrote {} ({} bytes)", path.display(), bytes.len());
    }
    Ok(())
}

/// Writes a file completely or not at all, with the permissions of an ordinary file.
fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut staged = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    staged.write_all(bytes)?;
    staged.persist(path).map_err(|error| error.error)?;
    Ok(())
}
