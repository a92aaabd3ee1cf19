import AdminClient
import ArgumentParser

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Make the daemon read its configuration again, and say what changed.",
        discussion:
            "Waits for the verdict. When the daemon refuses the file, it goes on with the old one, and the exit code is 1.")

    @OptionGroup var admin: AdminOptions

    func run() throws { try admin.printAnswer(to: AdminRequest(.post, "/config/reload", format: admin.format)) }
}
