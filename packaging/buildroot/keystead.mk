################################################################################
#
# keystead
#
################################################################################

KEYSTEAD_VERSION = 0.1.0
KEYSTEAD_SITE = $(call qstrip,$(BR2_PACKAGE_KEYSTEAD_SOURCE))
KEYSTEAD_SITE_METHOD = local
KEYSTEAD_LICENSE = Apache-2.0
KEYSTEAD_LICENSE_FILES = LICENSE
# The folder is taken as it is, without what git and cargo keep in it; the program is taken from there directly.
KEYSTEAD_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude .git --exclude target

ifeq ($(BR2_aarch64),y)
KEYSTEAD_TARGET = aarch64-unknown-linux-musl
else ifeq ($(BR2_x86_64),y)
KEYSTEAD_TARGET = x86_64-unknown-linux-musl
else
KEYSTEAD_TARGET = armv7-unknown-linux-musleabihf
endif

define KEYSTEAD_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(KEYSTEAD_SITE)/target/$(KEYSTEAD_TARGET)/release/keystead \
		$(TARGET_DIR)/usr/bin/keystead
endef

define KEYSTEAD_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/packaging/systemd/keystead.service \
		$(TARGET_DIR)/usr/lib/systemd/system/keystead.service
	$(INSTALL) -D -m 0644 $(@D)/packaging/systemd/keystead-spool.service \
		$(TARGET_DIR)/usr/lib/systemd/system/keystead-spool.service
	$(INSTALL) -D -m 0644 $(@D)/packaging/systemd/tmpfiles.d/keystead.conf \
		$(TARGET_DIR)/usr/lib/tmpfiles.d/keystead.conf
endef

define KEYSTEAD_USERS
	keystead -1 keystead -1 * /var/lib/keystead - - AWS credentials
endef

define KEYSTEAD_PERMISSIONS
	/var/lib/keystead d 710 keystead keystead - - - - -
endef

$(eval $(generic-package))
