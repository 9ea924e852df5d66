SUMMARY = "AWS credentials for machines outside AWS, from keys that stay in hardware"
DESCRIPTION = "\
    Short-lived AWS credentials through IAM Roles Anywhere, and uploads to S3 that survive outages. \
    The private key stays in a TPM 2.0 or in a file. \
"
HOMEPAGE = "https://github.com/keystead/keystead"
BUGTRACKER = "https://github.com/keystead/keystead/issues"
SECTION = "net"
CVE_PRODUCT = "keystead"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# The static program that scripts/cross makes, and the files of packaging/systemd, beside this recipe in the folder
# keystead/: releases of Yocto have an older Rust than keystead is written in.
SRC_URI = "\
    file://LICENSE \
    file://keystead \
    file://keystead-spool.service \
    file://keystead.service \
    file://sysusers.d/keystead.conf \
    file://tmpfiles.d/keystead.conf \
"

S = "${UNPACKDIR}"

inherit systemd useradd

SYSTEMD_SERVICE:${PN} = "keystead.service keystead-spool.service"
# Enable them in the image's own layer, with the configuration.
SYSTEMD_AUTO_ENABLE = "disable"

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system keystead"
USERADD_PARAM:${PN} = "\
    --system --gid keystead --home-dir ${localstatedir}/lib/keystead --no-create-home \
    --shell ${sbindir}/nologin keystead \
"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -D -m 0755 ${S}/keystead ${D}${bindir}/keystead
    install -D -m 0644 ${S}/keystead.service ${D}${systemd_system_unitdir}/keystead.service
    install -D -m 0644 ${S}/keystead-spool.service ${D}${systemd_system_unitdir}/keystead-spool.service
    install -D -m 0644 ${S}/sysusers.d/keystead.conf ${D}${nonarch_libdir}/sysusers.d/keystead.conf
    install -D -m 0644 ${S}/tmpfiles.d/keystead.conf ${D}${nonarch_libdir}/tmpfiles.d/keystead.conf
}

FILES:${PN} += "\
    ${nonarch_libdir}/sysusers.d \
    ${nonarch_libdir}/tmpfiles.d \
    ${systemd_system_unitdir} \
"

RDEPENDS:${PN} += "ca-certificates"

# It was linked and stripped elsewhere.
# nooelint: oelint.vars.insaneskip
INSANE_SKIP:${PN} += "already-stripped ldflags"
