//! The disk as the kernel sees it.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::disk::{Inside, Kind, Shared};
use super::tree::{Change, Content, Node, Number, Place, Tree};

/// How long the kernel may remember an answer. All that changes goes through it.
const REMEMBERED: Duration = Duration::from_secs(1);

/// The size that is told: more than any test writes.
const BLOCKS: u64 = 1 << 24;
const BLOCK: u32 = 4096;

pub(super) struct Calls(pub(super) Shared);

impl Filesystem for Calls {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let inside = self.0.lock();
        match inside.tree.find(parent.0, name) {
            Some(number) => reply.entry(
                &REMEMBERED,
                &attributes(&inside.tree, number),
                Generation(0),
            ),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let inside = self.0.lock();
        match inside.tree.node(number.0) {
            Some(_) => reply.attr(&REMEMBERED, &attributes(&inside.tree, number.0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn setattr(
        &self,
        request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut inside = self.0.lock();
        let Some(node) = inside.tree.node(number.0).cloned() else {
            return reply.error(Errno::ENOENT);
        };
        let mut changed = Ok(());
        if mode.is_some() || uid.is_some() || gid.is_some() {
            let change = Change::Attributes(
                number.0,
                mode.unwrap_or(node.mode),
                uid.unwrap_or(node.owner),
                gid.unwrap_or(node.group),
            );
            changed = inside.change(request, ("chmod".into(), Kind::Changes), change);
        }
        if let (Ok(()), Some(size)) = (changed, size) {
            let length = inside.tree.bytes(number.0).map_or(0, <[u8]>::len) as u64;
            let kind = if size > length {
                Kind::Grows
            } else {
                Kind::Changes
            };
            changed = inside.change(
                request,
                (format!("truncate {size}"), kind),
                Change::Resize(number.0, size),
            );
        }
        match changed {
            Ok(()) => reply.attr(&REMEMBERED, &attributes(&inside.tree, number.0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let mut inside = self.0.lock();
        let content = Content::Folder(Default::default());
        match inside.make(request, "mkdir", (parent, name), mode, content) {
            Ok(number) => reply.entry(
                &REMEMBERED,
                &attributes(&inside.tree, number),
                Generation(0),
            ),
            Err(errno) => reply.error(errno),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut inside = self.0.lock();
        match inside.make(
            request,
            "create",
            (parent, name),
            mode,
            Content::File(Vec::new()),
        ) {
            Ok(number) => reply.created(
                &REMEMBERED,
                &attributes(&inside.tree, number),
                Generation(0),
                FileHandle(0),
                FopenFlags::empty(),
            ),
            Err(errno) => reply.error(errno),
        }
    }

    fn link(
        &self,
        request: &Request,
        number: INodeNo,
        parent: INodeNo,
        name: &OsStr,
        reply: ReplyEntry,
    ) {
        let mut inside = self.0.lock();
        if inside.tree.find(parent.0, name).is_some() {
            return reply.error(Errno::EEXIST);
        }
        let call = (format!("link {}", name.display()), Kind::Grows);
        match inside.change(request, call, Change::Link(place(parent, name), number.0)) {
            Ok(()) => reply.entry(
                &REMEMBERED,
                &attributes(&inside.tree, number.0),
                Generation(0),
            ),
            Err(errno) => reply.error(errno),
        }
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let call = (format!("unlink {}", name.display()), Kind::Changes);
        self.answer(request, call, Change::Unlink(place(parent, name)), reply);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let number = self.0.lock().tree.find(parent.0, name);
        let names = number.and_then(|number| self.0.lock().tree.names(number).map(|it| it.len()));
        if names != Some(0) {
            return reply.error(Errno::ENOTEMPTY);
        }
        let call = (format!("rmdir {}", name.display()), Kind::Changes);
        self.answer(request, call, Change::Unlink(place(parent, name)), reply);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut inside = self.0.lock();
        let Some(number) = inside.tree.find(parent.0, name) else {
            return reply.error(Errno::ENOENT);
        };
        let is_taken = inside.tree.find(new_parent.0, new_name).is_some();
        if flags.contains(RenameFlags::RENAME_NOREPLACE) && is_taken {
            return reply.error(Errno::EEXIST);
        }
        if flags.intersects(!RenameFlags::RENAME_NOREPLACE) {
            return reply.error(Errno::EINVAL);
        }
        let call = format!("rename {} to {}", name.display(), new_name.display());
        let (from, to) = (place(parent, name), place(new_parent, new_name));
        match inside.change(
            request,
            (call, Kind::Grows),
            Change::Rename(from, to, number),
        ) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.0.lock().tree.node(number.0) {
            Some(_) => reply.opened(FileHandle(0), FopenFlags::empty()),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let inside = self.0.lock();
        let bytes = inside.tree.bytes(number.0).unwrap_or_default();
        let start = bytes.len().min(offset as usize);
        let end = bytes.len().min(start + size as usize);
        reply.data(&bytes[start..end]);
    }

    fn write(
        &self,
        request: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut inside = self.0.lock();
        let call = (format!("write {} at {offset}", bytes.len()), Kind::Grows);
        let change = Change::Write(number.0, offset, Arc::from(bytes));
        match inside.change(request, call, change) {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, request: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let call = ("fsync of a file".to_owned(), Kind::Syncs);
        self.answer(request, call, Change::Sync(number.0), reply);
    }

    fn fsyncdir(
        &self,
        request: &Request,
        number: INodeNo,
        _: FileHandle,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let call = ("fsync of a folder".to_owned(), Kind::Syncs);
        self.answer(request, call, Change::Sync(number.0), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let inside = self.0.lock();
        let Some(names) = inside.tree.names(number.0) else {
            return reply.error(Errno::ENOTDIR);
        };
        // By number, so that a name that goes away meanwhile makes none of the others be passed over.
        let mut names: Vec<_> = names
            .iter()
            .map(|(name, &it)| (it + OWN, name.as_os_str(), it))
            .collect();
        names.extend([
            (1, OsStr::new("."), number.0),
            (2, OsStr::new(".."), number.0),
        ]);
        names.sort_unstable();
        for (position, name, number) in names {
            let kind = attributes(&inside.tree, number).kind;
            if position > offset && reply.add(INodeNo(number), position, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK, 255, BLOCK);
    }
}

impl Calls {
    fn answer(&self, request: &Request, call: (String, Kind), change: Change, reply: ReplyEmpty) {
        match self.0.lock().change(request, call, change) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }
}

impl Inside {
    fn make(
        &mut self,
        request: &Request,
        call: &str,
        (parent, name): (INodeNo, &OsStr),
        mode: u32,
        content: Content,
    ) -> Result<Number, Errno> {
        if self.tree.find(parent.0, name).is_some() {
            return Err(Errno::EEXIST);
        }
        // A new folder's group is that of a folder with the set-group-ID bit, and so is the bit.
        let folder = self.tree.node(parent.0).ok_or(Errno::ENOENT)?;
        let (mut mode, mut group) = (mode, request.gid());
        if folder.mode & SET_GROUP_ID != 0 {
            group = folder.group;
            if matches!(content, Content::Folder(_)) {
                mode |= SET_GROUP_ID;
            }
        }
        let number = self.tree.add(Node {
            content,
            mode,
            owner: request.uid(),
            group,
        });
        let call = (format!("{call} {}", name.display()), Kind::Grows);
        self.change(request, call, Change::Link(place(parent, name), number))?;
        Ok(number)
    }
}

/// Positions of a folder's own names come before those of others.
const OWN: u64 = 2;

/// S_ISGID.
const SET_GROUP_ID: u32 = 0o2000;

fn place(parent: INodeNo, name: &OsStr) -> Place {
    Place {
        folder: parent.0,
        name: name.to_owned(),
    }
}

fn attributes(tree: &Tree, number: Number) -> FileAttr {
    let node = tree.node(number).expect("it was looked up");
    let (kind, size) = match &node.content {
        Content::File(bytes) => (FileType::RegularFile, bytes.len() as u64),
        Content::Folder(_) => (FileType::Directory, 0),
    };
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: (node.mode & 0o7777) as u16,
        nlink: if kind == FileType::Directory {
            2
        } else {
            tree.links(number) as u32
        },
        uid: node.owner,
        gid: node.group,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}
