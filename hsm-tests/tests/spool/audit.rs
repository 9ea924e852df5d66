//! Looks a spool over that has been through something.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use keystead::host::spool::{Options, Spool};
use sha2::{Digest as _, Sha256};

use crate::load;

/// What a spool is opened with.
pub fn options() -> Options {
    Options {
        reserve: 0,
        ..Options::default()
    }
}

/// Opens a spool that nobody uses, as the next process would, and says what is wrong with it. Each of
/// `promised` has to be there, all of what is there has to be whole, and nothing else may be there.
pub fn audit(folder: &Path, promised: &BTreeSet<String>) -> Result<(), String> {
    let spool = Spool::open(folder, options()).map_err(|error| format!("not opened: {error}"))?;
    let (entries, aside) = look(&spool)?;
    let found: BTreeSet<_> = entries.iter().chain(&aside).cloned().collect();
    if let Some(lost) = promised.difference(&found).next() {
        return Err(format!("{lost} was promised and is lost"));
    }
    // It takes new ones.
    let key = load::key(99_999, 100);
    let added = spool.add(&mut &load::content(&key)[..], load::naming(&key));
    let added = added.map_err(|error| format!("it takes nothing: {error}"))?;
    let (with_new, _) = look(&spool)?;
    if with_new.last() != Some(&key) {
        return Err(format!("what is new is not the last of {with_new:?}"));
    }
    let is_gone = spool.remove(added.id).map_err(|error| error.to_string())?;
    if !is_gone {
        return Err("what is new cannot be removed".into());
    }
    // What is remembered of uploads belongs to entries.
    drop(
        spool
            .lock_run()
            .map_err(|error| format!("not run: {error}"))?,
    );
    for (name, most) in [("tmp", 0), ("journal", found.len())] {
        let left = names(&folder.join(name));
        if left.len() > most {
            return Err(format!("{name} holds {left:?}"));
        }
    }
    let usage = spool.usage().map_err(|error| error.to_string())?;
    let files = [names(&folder.join("entries")), names(&folder.join("aside"))].concat();
    let files = files.iter().filter(|name| name.len() == 32).count() as u64;
    if usage.entries != files {
        return Err(format!("{files} entries count as {usage:?}"));
    }
    Ok(())
}

/// The keys of the entries, and of those that are set aside.
fn look(spool: &Spool) -> Result<(Vec<String>, Vec<String>), String> {
    let entries = spool
        .entries()
        .map_err(|error| format!("not read: {error}"))?;
    let mut keys = Vec::new();
    for (id, head) in entries {
        let entry = spool.open_entry(id).map_err(|error| error.to_string())?;
        if !entry.as_ref().is_some_and(load::is_whole) {
            return Err(format!("{} is not whole", head.key));
        }
        keys.push(head.key);
    }
    let aside = spool
        .aside()
        .map_err(|error| format!("not read: {error}"))?;
    let mut aside_keys = Vec::new();
    for aside in aside {
        let head = aside.head.ok_or("what is set aside is damaged")?;
        aside_keys.push(head.key);
    }
    Ok((keys, aside_keys))
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// Lets the spool take this machine for one that was started anew, as it is after a power loss: its page says
/// of which start its counts are.
pub fn forget_boot(folder: &Path) {
    let path = folder.join("lock");
    let Ok(mut file) = fs::File::options().read(true).write(true).open(path) else {
        return;
    };
    let mut page = Vec::new();
    file.read_to_end(&mut page).expect("the page can be read");
    let Some((numbers, check)) = page.split_last_chunk_mut::<8>() else {
        return;
    };
    let digest = |numbers: &[u8]| <[u8; 8]>::try_from(&Sha256::digest(numbers)[..8]).expect("8");
    if digest(numbers) != *check || numbers.len() < 16 {
        return;
    }
    for byte in &mut numbers[..16] {
        *byte = !*byte;
    }
    *check = digest(numbers);
    file.write_all_at(&page, 0)
        .expect("the page can be written");
}
