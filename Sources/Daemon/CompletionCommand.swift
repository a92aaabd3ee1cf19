import ArgumentParser

struct CompletionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completion", abstract: "Print what makes a shell complete the commands and options.",
        discussion: """
            bash: sluice completion bash > /etc/bash_completion.d/sluice
            zsh:  sluice completion zsh > /usr/local/share/zsh/site-functions/_sluice
            fish: sluice completion fish > /etc/fish/completions/sluice.fish
            """)

    enum Shell: String, ExpressibleByArgument, CaseIterable {
        case bash, zsh, fish

        var shell: CompletionShell {
            switch self {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        }
    }

    @Argument(help: "The shell.") var shell: Shell

    func run() throws { try Output.print(SluiceCommand.completionScript(for: shell.shell)) }
}
