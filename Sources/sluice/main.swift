import Daemon

SluiceCommand.main()
