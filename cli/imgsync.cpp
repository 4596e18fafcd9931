// The program imgsync: its table of commands.
#include <array>

#include "cli/push_command.h"

int main(int argc, char** argv) {
    const std::array commands = {imgfs::push_command(), imgfs::serve_command()};
    const imgfs::Program program = {
        .name = "imgsync",
        .summary = "make a directory, or a mounted image, equal to a source",
        .description =
            "imgsync pushes a tree of files onto another one, here or through ssh: onto an image "
            "mounted by imgfs, or onto any directory.",
        .commands = commands,
        .exit_statuses =
            "0 done\n"
            "1 failed\n"
            "2 wrong usage\n"
            "4 another push works on the target\n"
            "12 the connection was lost, or the other end isn't imgsync\n"
            "23 some files were not transferred\n"
            "24 some files vanished before they were read\n"
            "130 interrupted"};
    return imgfs::run_program(program, argc, argv);
}
