#include "cli/options.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/program_options.hpp>
#include <cerrno>

#include "cli/man_page.h"
#include "fs/base/error.h"

namespace imgfs {
namespace {

namespace po = boost::program_options;

void add_greeting_options(OptionTable& table) {
    table.add_options()("name,n", po::value<std::string>()->value_name("NAME"), "whom to greet")(
        "json", "as JSON");
}

int greet(const Arguments& arguments) {
    if (arguments.operands.front() == "busy") {
        fail(EBUSY, "the door: in use; come back later");
    }
    return arguments.value("name", "you") == "me" ? damage : done;
}

constexpr std::array kCommands = {Command{
    .name = "greet",
    .operands = "WHERE",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "say hello",
    .description = "Politely.\n\n.Twice.",
    .add_options = add_greeting_options,
    .run = greet,
}};
constexpr Program kProgram = {"hello", "greets", "It greets.", kCommands, "0 greeted"};

int run(std::vector<std::string> words) {
    words.insert(words.begin(), "hello");
    std::vector<char*> argv;
    for (auto& word : words) {
        argv.push_back(word.data());
    }
    return run_program(kProgram, static_cast<int>(argv.size()), argv.data());
}

TEST(OptionsTest, ExitStatusesAreThoseOfTheDesign) {
    EXPECT_EQ(run({"greet", "here"}), done);
    EXPECT_EQ(run({"greet", "here", "--name", "me"}), damage);
    EXPECT_EQ(run({"greet", "-n", "me", "here"}), damage);
    EXPECT_EQ(run({"greet", "busy"}), in_use);
}

TEST(OptionsTest, WrongUsageIsTwo) {
    EXPECT_EQ(run({}), usage);
    EXPECT_EQ(run({"wave"}), usage);
    EXPECT_EQ(run({"greet"}), usage);
    EXPECT_EQ(run({"greet", "a", "b"}), usage);
    EXPECT_EQ(run({"greet", "a", "--colour"}), usage);
    EXPECT_EQ(run({"greet", "a", "--nam", "x"}), usage) << "options are not guessed";
}

TEST(OptionsTest, JsonErrorsAreOneDocument) {
    testing::internal::CaptureStdout();
    EXPECT_EQ(run({"greet", "busy", "--json"}), in_use);
    const auto text = testing::internal::GetCapturedStdout();
    EXPECT_NE(text.find("\"path\": \"the door\""), std::string::npos) << text;
    EXPECT_NE(text.find("\"hint\": \"come back later\""), std::string::npos) << text;
}

TEST(OptionsTest, TheManPageHasEveryOption) {
    const auto page = man_page(kProgram);
    for (const auto* part : {".TH HELLO 1", "\\-\\-name", "NAME", "whom to greet", "\\&.Twice"}) {
        EXPECT_NE(page.find(part), std::string::npos) << part << " in\n" << page;
    }
}

}  // namespace
}  // namespace imgfs
