import Daemon

SluiceCommand.runAndExit()
