/* SPDX-License-Identifier: GPL-2.0-only */
/* bcc picks helper spellings by version; the probes use none of those, so any recent version will do. */
#pragma once
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 10, 0)
