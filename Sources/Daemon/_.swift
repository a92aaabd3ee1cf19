public enum SluiceCommand { public static func main() {} }
