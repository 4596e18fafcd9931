// The commands of imgfs: what cli/imgfs.cpp puts into its table.
#pragma once

#include "cli/options.h"

namespace imgfs {

void add_info_options(OptionTable& table);
int info_command(const Arguments& arguments);

void add_verify_options(OptionTable& table);
int verify_command(const Arguments& arguments);

void add_index_options(OptionTable& table);
int index_command(const Arguments& arguments);

void add_list_options(OptionTable& table);
int list_command(const Arguments& arguments);

int cat_command(const Arguments& arguments);

void add_copy_options(OptionTable& table);
int copy_command(const Arguments& arguments);

void add_restore_options(OptionTable& table);
int restore_command(const Arguments& arguments);

void add_flatten_options(OptionTable& table);
int flatten_command(const Arguments& arguments);

void add_mount_options(OptionTable& table);
int mount_command(const Arguments& arguments);

void add_seal_options(OptionTable& table);
int seal_command(const Arguments& arguments);

void add_points_options(OptionTable& table);
int points_command(const Arguments& arguments);

void add_rollback_options(OptionTable& table);
int rollback_command(const Arguments& arguments);

void add_prune_options(OptionTable& table);
int prune_command(const Arguments& arguments);

void add_diff_options(OptionTable& table);
int diff_command(const Arguments& arguments);

void add_export_options(OptionTable& table);
int export_command(const Arguments& arguments);

void add_import_options(OptionTable& table);
int import_command(const Arguments& arguments);

void add_umount_options(OptionTable& table);
int umount_command(const Arguments& arguments);

int sync_command(const Arguments& arguments);

void add_status_options(OptionTable& table);
int status_command(const Arguments& arguments);

}  // namespace imgfs
