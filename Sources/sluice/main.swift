import SluiceDaemon

SluiceCommand.runAndExit()
